"""What a problem's own `sample` gives: arrays, and of which kind each input is."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.backends._worker.stream import Stream
from gradcheck.dtypes import Kind
from gradcheck.errors import ProblemError
from gradcheck.problems import Problem
from gradcheck.problems._checks import size_arguments
from gradcheck.problems._guard import ProblemCode, described_error

Array = npt.NDArray[Any]

KINDS: Mapping[str, Kind] = {"b": "boolean", "i": "integer", "u": "integer"}
"""By the letters that NumPy has for kinds of dtypes; all others are floating."""
DTYPES: Mapping[Kind, type[np.generic]] = {"floating": np.float64, "integer": np.int64, "boolean": np.bool_}
"""In which inputs are drawn."""
NOUNS: Mapping[Kind, str] = {"floating": "floats", "integer": "integers", "boolean": "booleans"}


def kind_of(array: Array) -> Kind:
    """The kind of an array's entries."""
    return KINDS.get(array.dtype.kind, "floating")


@functools.lru_cache(maxsize=64)
def kinds_of(problem: Problem, k: int | None) -> Mapping[str, Kind]:
    """The kinds of a problem's inputs by name, as `sample` gives them for seed 0; what it leaves out is floating.

    Raises:
        ProblemError: `sample` fails, or `wrt` names an input that is not floating, or no input is.
    """
    drawn = drawn_by(problem, Stream(0), k)
    kinds = {name: kind_of(drawn[name]) if name in drawn else "floating" for name in problem.shapes(k)}
    if "floating" not in kinds.values():
        raise ProblemError(f"{problem.path}: no input is floating: expected one that has a gradient")
    for name in problem.wrt or ():
        if kinds[name] != "floating":
            expected = "expected floating inputs; in sample write .astype(float), or leave it out of wrt"
            raise ProblemError(
                f"{problem.path}: wrt names {name!r}, which sample gives as {NOUNS[kinds[name]]}: {expected}"
            )
    return kinds


def wrt_of(problem: Problem, k: int | None) -> tuple[str, ...]:
    """The inputs whose gradients are wanted: those that the problem names, else all that are floating and not fixed.

    Raises:
        ProblemError: as `kinds_of`; or there is none.
    """
    kinds, fixed = kinds_of(problem, k), problem.fixed(k)
    wrt = problem.wrt or tuple(name for name, kind in kinds.items() if kind == "floating" and name not in fixed)
    if not wrt:
        expected = f"expected a shape, or requires_grad=True, for {' or '.join(fixed)}"
        raise ProblemError(f"{problem.path}: no input requires a gradient: {expected}")
    return wrt


def sampled(problem: Problem, stream: Stream, k: int | None) -> Mapping[str, Array]:
    """The inputs that the problem draws itself, as float64, int64 or bool.

    Raises:
        ProblemError: as `drawn_by`; or one is of another kind than for seed 0.
    """
    drawn = drawn_by(problem, stream, k)
    for name, array in drawn.items():
        kind, usual = kind_of(array), kinds_of(problem, k)[name]
        if kind != usual:
            found = f"holds {NOUNS[kind]}, and {NOUNS[usual]} for seed 0"
            raise ProblemError(f"{problem.path}: {_call(k)}[{name!r}] {found}: expected one kind for all seeds")
    return drawn


def drawn_by(problem: Problem, stream: Stream, k: int | None) -> Mapping[str, Array]:
    """What a problem's `sample` gives, if it has one.

    Raises:
        ProblemError: its `sample` raises, or gives an unknown name, another shape, or a value that is not finite.
    """
    if problem.sample is None:
        return {}
    shapes = problem.shapes(k)
    try:
        with ProblemCode(problem.path, _call(k), problem.timeout):
            given = problem.sample(stream, *size_arguments(k))
            drawn = {name: _as_drawn(array) for name, array in given.items()}
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(f"{problem.path}: {_call(k)} raised {described_error(error)}") from error
    for name, array in drawn.items():
        what = f"{problem.path}: {_call(k)}[{name!r}]"
        if name not in shapes:
            raise ProblemError(f"{what} is not an input: expected some of {', '.join(shapes)}")
        if array.shape != shapes[name]:
            raise ProblemError(f"{what} has shape {array.shape}: expected {shapes[name]}")
        if not np.isfinite(array).all():
            raise ProblemError(f"{what} holds a value that is not finite: expected finite numbers")
    return drawn


def _call(k: int | None) -> str:
    return f"sample({', '.join(['rng', *map(str, size_arguments(k))])})"


def _as_drawn(given: Any) -> Array:
    """A copy in the dtype of its kind.

    Raises:
        OverflowError: int64 does not hold an integer of it.
    """
    array = np.asarray(given)
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise OverflowError(f"{array.max()} is beyond int64")
    return np.array(array, DTYPES[kind_of(array)])
