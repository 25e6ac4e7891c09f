"""Checks of a problem's file: names, shapes, the inputs with gradients, and the functions."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from gradcheck.backends._worker import source
from gradcheck.errors import ProblemError
from gradcheck.problems._guard import TIMEOUT, ProblemCode, described_error
from gradcheck.text.suggestions import did_you_mean
from gradcheck.text.wording import shortened

Shape = tuple[int, ...]
LONGEST_NAME = 100
GRADIENT_NAME = r"[A-Za-z][\w.-]*"
ENGINES = Path(source.__file__).parents[1]
FEWEST_BYTES = 64
"""Bytes of an entry of an input at least: in float64, and in the oracle, two 80-bit floats and a radius."""


def checked_shapes(
    path: Path, inputs: Callable[..., Mapping[str, Shape]], k: int | None, timeout: float = TIMEOUT
) -> dict[str, Shape]:
    """The shapes of `inputs(k)`, checked by `stated_shapes`, if there is memory for them.

    Raises:
        ProblemError: there is not enough memory, or `inputs` gives no shapes.
    """
    shapes = stated_shapes(path, inputs, k, timeout)
    entries = sum(map(prod, shapes.values()))
    if entries * FEWEST_BYTES > memory():
        call = f"inputs({_written(k)})"
        needed = f"{entries:.3g} entries, which need {entries * FEWEST_BYTES / 1e9:.3g} GB"
        expected = f"expected a size for which there is memory, {memory() / 1e9:.3g} GB"
        raise ProblemError(f"{path}: {call} have {needed}: {expected}")
    return shapes


def tuples(stated: Any, where: str) -> dict[str, Shape]:
    """The result of `inputs`, its shapes as tuples.

    Raises:
        ProblemError: it is not a mapping, or a shape is not a list of sizes; the message shows `where`.
    """
    if not isinstance(stated, Mapping):
        raise ProblemError(f'{where} is {_shown(stated)}: expected a mapping of names to shapes, such as {{"x": (k,)}}')
    for name, shape in stated.items():
        if not isinstance(shape, Iterable) or isinstance(shape, str):
            raise ProblemError(f"{where}[{name!r}] is {_shown(shape)}: expected a tuple of sizes, such as (k,)")
    return {name: tuple(shape) for name, shape in stated.items()}


def stated_shapes(
    path: Path, inputs: Callable[..., Mapping[str, Shape]], k: int | None, timeout: float
) -> dict[str, Shape]:
    """Call `inputs(k)`, or `inputs()` where k is None, and check that it maps names to tuples of sizes.

    Raises:
        ProblemError: it does not.
    """
    call = f"inputs({_written(k)})"
    with ProblemCode(path, call, timeout):
        try:
            shapes = tuples(inputs(*size_arguments(k)), f"{path}: {call}")
        except ProblemError:
            raise
        except Exception as error:
            raise ProblemError(f"{path}: {call} raised {described_error(error)}") from error
        for name, shape in shapes.items():
            check_name(name, f"{path}: {call}")
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ProblemError(f"{path}: {call}[{name!r}] is {shape!r}: expected a tuple of sizes")
    if not shapes:
        raise ProblemError(f"{path}: {call} is empty: expected at least one input")
    return shapes


def size_arguments(k: int | None) -> tuple[int, ...]:
    """The arguments of `inputs` and `sample` for their size."""
    return () if k is None else (k,)


def _written(k: int | None) -> str:
    """The size in a call, for messages."""
    return "" if k is None else str(k)


def takes_size(path: Path, inputs: Callable[..., Any]) -> bool:
    """Whether `inputs` takes a size.

    Raises:
        ProblemError: it can be called neither with one nor without.
    """
    if takes(inputs, 1):
        return True
    if takes(inputs):
        return False
    signature = inspect.signature(inputs)
    raise ProblemError(f"{path}: inputs takes {signature}: expected inputs(k), or inputs() for one size")


def takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a function can be called with arguments, as far as its signature shows."""
    try:
        signature = inspect.signature(function)
    except Exception:  # written in C, without a signature; or an object whose own code fails
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def checked_sample(path: Path, sample: Any, has_size: bool) -> Callable[..., Mapping[str, Any]] | None:
    """The function that draws inputs with a structure, if there is one.

    Raises:
        ProblemError: it is not a function, or does not take its arguments.
    """
    call = "sample(rng, k)" if has_size else "sample(rng)"
    if sample is not None and not callable(sample):
        raise ProblemError(f"{path}: sample is {_shown(sample)}: expected a function {call}")
    if sample is not None and not takes(sample, "rng", *size_arguments(1 if has_size else None)):
        inputs = "inputs(k)" if has_size else "inputs()"
        raise ProblemError(f"{path}: sample takes {inspect.signature(sample)}: expected {call}, as there is {inputs}")
    return sample  # type: ignore[no-any-return]


def checked_wrt(path: Path, wrt: Any, shapes: Mapping[str, Shape]) -> tuple[str, ...] | None:
    """The inputs whose gradients are wanted, in the order in which the file names them; None where it names none.

    Raises:
        ProblemError: `wrt` is not a tuple or list, is empty, or has a name that is not an input or comes twice.
    """
    if wrt is None:
        return None
    if not isinstance(wrt, (tuple, list)):  # a set would have another order in each process
        example = tuple(shapes)[:1]
        raise ProblemError(f"{path}: wrt is {_shown(wrt)}: expected a tuple of names, such as {example!r}")
    if not wrt:
        raise ProblemError(f"{path}: wrt is empty: expected some of {', '.join(shapes)}")
    for position, name in enumerate(wrt):
        if not isinstance(name, str) or name not in shapes:
            meant = did_you_mean(str(name), shapes)
            raise ProblemError(f"{path}: wrt names {name!r}: {meant}expected some of {', '.join(shapes)}")
        if name in wrt[:position]:
            raise ProblemError(f"{path}: wrt names {name!r} twice: expected each input once")
    return tuple(wrt)


EXAMPLES = {
    "gradients": "{'mine': backward}, or pairs, {'kernel': ('torch', backward)}",
    "hessian_products": "{'mine': product}, or pairs, {'kernel': ('torch', product)}",
    "implementations": "{'fused': ('torch', fused)}",
}
"""Variables that name functions of a problem's file, and what they are."""


class Own(NamedTuple):
    """A function of a problem's file, and the engine in whose arrays it computes; None for NumPy's."""

    function: Callable[..., Any]
    engine: str | None


def checked_functions(path: Path, key: str, functions: Any) -> dict[str, Own]:
    """The functions of a file by their names as backends.

    Args:
        path: of the file.
        key: the variable that names them, one of `EXAMPLES`.
        functions: its value.

    Raises:
        ProblemError: it is not a mapping of names to functions, or a name means another backend, or is invalid.
    """
    of = isinstance(functions, Mapping) and {name: _own(each, key) for name, each in functions.items()}
    if not isinstance(of, dict) or None in of.values():
        expected = f"expected a mapping of names to functions, such as {EXAMPLES[key]}"
        wrong = (
            {name: functions[name] for name, own in of.items() if own is None} if isinstance(of, dict) else functions
        )
        raise ProblemError(f"{path}: {key} is {_shown(wrong)}: {expected}")
    for name in functions:
        check_name(name, f"{path}: {key}")
        if not re.fullmatch(GRADIENT_NAME, name):
            raise ProblemError(
                f"{path}: {key} names {name!r}: expected a letter, then letters, digits, '_', '-' or '.'"
            )
        if (ENGINES / f"{name.replace('-', '_')}.py").is_file() and "_" not in name:
            raise ProblemError(f"{path}: {key} names {name!r}, which is an engine: expected another name")
    return {name: own for name, own in of.items() if own is not None}


def _own(value: Any, key: str) -> Own | None:
    """A function, or a pair of the name of an engine and a function; None if it is neither."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and callable(value[1]):
        return Own(value[1], value[0])
    return Own(value, None) if callable(value) and key != "implementations" else None


def checked_names(path: Path, several: Mapping[str, Mapping[str, Own]]) -> dict[str, str]:
    """The engines of functions by their names.

    Raises:
        ProblemError: a name stands for an implementation and a gradient, or for functions in different arrays.
    """
    engines: dict[str, str | None] = {}
    for key, functions in several.items():
        for name, own in functions.items():
            if name in engines and (key == "implementations" or engines[name] != own.engine):
                raise ProblemError(f"{path}: {key} names {name!r}, as another variable does: expected another name")
            engines[name] = own.engine
    return {name: engine for name, engine in engines.items() if engine is not None}


def checked_backends(path: Path, backends: Any) -> tuple[str, ...]:
    """The backends of a run that names none; `selection` checks the meaning of each name.

    Raises:
        ProblemError: `backends` is not a tuple or list of strings.
    """
    if not isinstance(backends, (tuple, list)) or not all(isinstance(name, str) for name in backends):
        raise ProblemError(
            f'{path}: backends is {_shown(backends)}: expected a tuple of names, such as ("mine", "torch")'
        )
    return tuple(backends)


def check_name(name: object, where: str) -> None:
    """Refuse an invalid name: reports show names on a line, and records have them in paths.

    Raises:
        ProblemError: it is invalid; the message begins with `where`.
    """
    if not isinstance(name, str) or not name.isprintable() or "/" in name or not 0 < len(name) <= LONGEST_NAME:
        raise ProblemError(f"{where} names {_shown(name)}: expected a name, such as 'A'")


def memory() -> int:
    """The bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _shown(value: object) -> str:
    """As much of a value's text as fits in a line."""
    text = repr(value)
    return shortened(text, LONGEST_NAME)
