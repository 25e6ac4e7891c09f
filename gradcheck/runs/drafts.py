"""Drafts of cases for a search: a usual case, and changes that give its inputs ties, zeros, repeats and extremes."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck.backends._worker.stream import Stream
from gradcheck.graphs.graph import DIRECTION
from gradcheck.problems import Problem, cases
from gradcheck.problems.cases import Case
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import kinds_of, sampled

Array = NDArray[Any]

SCALES = (1.0, 2.0, 4.0, 0.5, 10.0, 0.1, 100.0, 0.01, -1.0, 1e4, 1e-4)
SIMPLE = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 10.0, -10.0, 100.0, -100.0)
EXTREME = (1e-8, -1e-8, 1e8, -1e8, 1e-30, 1e30, -1e30, 1e-300, 1e300)
FAR = 1e6
"""Numbers of the problem's file beyond this size are sizes or guards, which are no edges of branches."""


@dataclass(frozen=True)
class Change:
    """A change of one input.

    Attributes:
        kind: a key of `CHANGES`.
        input: its number among the inputs that may change so.
        places: of entries, or of another input.
        value: a number.
    """

    kind: str
    input: int
    places: tuple[int, int]
    value: float


@dataclass(frozen=True)
class Draft:
    """A case to evaluate: what `gradcheck run` draws, and then the changes, one after the other."""

    k: int | None
    seed: int
    distribution: str
    scale: float
    changes: tuple[Change, ...] = ()

    def case(self, problem: Problem, dtype: str, order: int) -> Case:
        """The case.

        Raises:
            RequestError: its inputs do not fit the dtype, or the problem.
        """
        case = cases.sample(problem, self.k, self.seed, dtype, self.distribution, self.scale, order)
        if not self.changes:
            return case
        arrays = {  # in float64, in which no number of a change overflows
            name: np.array(array, np.float64 if array.dtype.kind == "f" else array.dtype, order="C")
            for name, array in case.inputs.items()
        }
        for change in self.changes:
            CHANGES[change.kind](arrays, roles(problem, self.k), change)
        return given(problem, self.k, dtype, arrays, order)


@dataclass(frozen=True)
class Roles:
    """The inputs of a problem by what may change.

    Attributes:
        free: floating inputs that `sample` does not draw: any numbers.
        whole: integers and booleans that it draws: entries may be copied. Floats that it draws keep their structure.
        added: cotangents and directions.
    """

    free: tuple[str, ...]
    whole: tuple[str, ...]
    added: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def roles(problem: Problem, k: int | None) -> Roles:
    """The roles of a problem's inputs at a size."""
    kinds, drawn = kinds_of(problem, k), sampled(problem, Stream(0), k)
    added = (*graph_of(problem, k).cotangents, *(f"{DIRECTION}[{name}]" for name in kinds))
    whole = tuple(name for name, kind in kinds.items() if kind != "floating")
    return Roles(tuple(name for name in kinds if name not in drawn), whole, added)


def shapes(problem: Problem, k: int | None, order: int) -> dict[str, tuple[int, ...]]:
    """The shapes of all inputs of a case."""
    own = problem.shapes(k)
    directions = {direction: own[name] for name, direction in cases.directions(problem, k, order).items()}
    return {**own, **graph_of(problem, k).cotangents, **directions}


def given(problem: Problem, k: int | None, dtype: str, arrays: Mapping[str, Array], order: int) -> Case:
    """A case of given arrays.

    Raises:
        RequestError: they do not fit the dtype, or the problem.
    """
    exact = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    case = cases.given(problem, k, dtype, exact, "hunt", order)
    return replace(case, inputs={name: case.inputs[name] for name in shapes(problem, k, order)})


def _one(names: tuple[str, ...], change: Change) -> str | None:
    return names[change.input % len(names)] if names else None


def _set(arrays: dict[str, Array], roles: Roles, change: Change) -> None:
    """One entry becomes a number."""
    name = _one(roles.free, change)
    if name and arrays[name].size:
        arrays[name].flat[change.places[0] % arrays[name].size] = change.value


def _fill(arrays: dict[str, Array], roles: Roles, change: Change) -> None:
    """Every entry becomes one number."""
    if name := _one(roles.free, change):
        arrays[name][...] = change.value


def _times(arrays: dict[str, Array], roles: Roles, change: Change) -> None:
    """An input is multiplied by a number."""
    if name := _one(roles.free, change):
        with np.errstate(over="ignore"):
            arrays[name] *= change.value


def _copy(arrays: dict[str, Array], roles: Roles, change: Change) -> None:
    """One entry becomes a copy of another: a tie, or a repeated index."""
    name = _one((*roles.free, *roles.whole), change)
    if name and arrays[name].size:
        entries = arrays[name].reshape(-1)
        first, second = (place % len(entries) for place in change.places)
        entries[first] = entries[second]


def _like(arrays: dict[str, Array], roles: Roles, change: Change) -> None:
    """One input gets the entries of another, as far as these go."""
    name, other = _one(roles.free, change), _one(roles.free, replace(change, input=change.places[0]))
    if name and other and arrays[other].size:
        arrays[name] = np.resize(arrays[other], arrays[name].shape)


CHANGES: Mapping[str, Callable[[dict[str, Array], Roles, Change], None]] = {
    "set": _set,
    "copy": _copy,
    "fill": _fill,
    "times": _times,
    "like": _like,
}


def edges(problem: Problem) -> tuple[float, ...]:
    """Numbers at which branches may begin: those of the problem's file, next to them, and between two of them."""
    try:
        tree = ast.parse(problem.path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        tree = ast.Module([], [])
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    written = sorted({float(each) for each in found if isinstance(each, int | float) and 0 < abs(each) < FAR})
    between = [(low + high) / 2 for low, high in itertools.pairwise(written)]
    near = [each for value in written for each in (value, 1.01 * value, 0.99 * value)]
    return tuple(dict.fromkeys(sign * each for each in (*near, *between) for sign in (1, -1))) or SIMPLE
