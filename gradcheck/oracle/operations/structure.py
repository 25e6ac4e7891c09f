"""Operations that move entries, and those that await the integers of a case."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations.base import (
    Contribution,
    Lifted,
    Operand,
    Operation,
    Shape,
    Variable,
    apply,
    no_gradients,
    over_cases,
)
from gradcheck.oracle.operations.terms import Array, Bounded, Decision, Doubts, Errors, Spread, Values, Variances

LARGEST_INTEGER = 2.0**53
"""Up to it float64 has all integers."""


def structural(
    name: str,
    move: Callable[..., Array],
    back: Callable[..., tuple[Contribution | None, ...]],
    shape: Callable[..., Shape],
) -> Operation:
    """An operation that moves or copies entries, errors like values (docs/math.md, R19).

    Args:
        name: as the vocabulary spells it.
        move: arrays -> array.
        back: (gradient, *operands) -> the operands' gradients.
        shape: shapes -> shape.
    """

    def moved(terms: Sequence[Values], errors: Sequence[Array | None]) -> Array | None:
        if all(error is None for error in errors):
            return None
        return move(*(np.zeros(t.native.shape) if e is None else e for t, e in zip(terms, errors, strict=True)))

    def worst(_format: Format, _result: Values, *terms: Bounded) -> Errors:
        return moved(terms, [term.error for term in terms])

    def variance(_format: Format, _result: Values, *terms: Spread) -> Variances:
        return moved(terms, [term.variance for term in terms])

    return Operation(
        name,
        value=move,
        gradients=lambda g, _v, *operands: back(g, *operands),
        worst=worst,
        variance=variance,
        shape=shape,
        moves=True,
        lifted=cache(lambda *shapes: Lifted(_gathering(name, move, shapes), shapes)),
    )


def _gathering(name: str, move: Callable[..., Array], shapes: Sequence[Shape]) -> Operation:
    """The same move in several cases at once: each entry of the result is one of the operands', or zero."""
    ends = list(itertools.accumulate(map(math.prod, shapes), initial=1))
    numbers = [np.arange(*ends[place : place + 2]).reshape(shape) for place, shape in enumerate(shapes)]
    places = np.asarray(move(*numbers)).astype(np.intp)

    def gathered(*arrays: Array) -> Array:
        cases = max(len(array) for array in arrays)
        flat = [np.broadcast_to(array, (cases, *array.shape[1:])).reshape(cases, -1) for array in arrays]
        return np.take(np.concatenate([np.zeros((cases, 1), flat[0].dtype), *flat], axis=1), places, axis=1)

    return structural(name, gathered, no_gradients, lambda *_: (-1, *places.shape))


def with_gradients(
    result: Variable, back: Callable[..., tuple[Contribution | None, ...]], *operands: Variable
) -> Variable:
    """The result itself, with gradients of its own: they do not follow the steps by which it was computed.

    Args:
        result: of some steps.
        back: (gradient, *operands) -> the operands' gradients.
        operands: from which it was computed.
    """
    itself = Operation(
        "itself",
        lambda result, *_: result,
        lambda g, _v, _result, *operands: (None, *back(g, *operands)),
        lambda _format, _result, result, *_: result.error,
        lambda _format, _result, result, *_: result.variance,
        shape=lambda result, *_: result,
    )
    return apply(itself, result, *operands)


def bound_later(
    name: str,
    bind: Callable[..., Operation],
    back: Callable[..., tuple[Contribution | None, ...]],
    shape: Callable[..., Shape],
    indices: int,
    moves: bool = True,
) -> Operation:
    """An operation whose last operands are integers, which a case has: `Tape.at` puts another one into its place.

    Args:
        name: as the vocabulary spells it.
        bind: arrays of integers -> the operation for the other operands.
        back: (gradient, *operands) -> the gradients of the operands that are not these integers.
        shape: shapes -> shape.
        indices: how many operands are integers.
        moves: whether it moves entries of any kind.
    """

    def unknown(*_: Any) -> Any:
        raise TypeError(f"{name}: the integers of the case are not known: expected a tape at its inputs")

    return Operation(
        name,
        unknown,
        lambda g, _v, *operands: (*back(g, *operands), *[None] * indices),
        unknown,
        unknown,
        shape=shape,
        moves=moves,
        bind=bind,
        indices=indices,
    )


def between_numbers(operation: Operation, *operands: Operand) -> Variable:
    """Record arithmetic; between integers alone it is exact, and makes integers (docs/math.md, R9)."""
    if not all(isinstance(operand, Variable) and operand.kind == "integer" for operand in operands):
        return apply(operation, *operands)
    return apply(_of_integers(operation), *operands)


def _of_integers(operation: Operation) -> Operation:
    def value(*operands: Array) -> Array:
        if operands[0].dtype != object:
            check_integers(operation.value(*(operand.astype(np.float64) for operand in operands)))
        return np.asarray(operation.value(*operands))

    return structural(operation.name, value, lambda _g, *operands: (None,) * len(operands), np.broadcast_shapes)


def check_integers(results: Array) -> None:
    """Check integers that are computed, float64.

    Raises:
        OverflowError: one is so large that float64 lacks integers below it.
    """
    if np.any(np.abs(results) > LARGEST_INTEGER):
        raise OverflowError(f"an integer grows to {np.abs(results).max():g}: expected at most 2**53")


def of_conditions(move: Operation) -> Operation:
    """An operation that moves the entries of a condition, and their doubts with them."""

    def doubt(_format: Format, _result: Values, condition: Decision) -> Doubts:
        return None if condition.doubt is None else move.value(condition.doubt)

    def lifted(*shapes: Shape) -> Lifted | None:
        several = over_cases(move, shapes)
        return several and Lifted(of_conditions(several.operation), several.shapes)

    return replace(move, gradients=no_gradients, worst=doubt, variance=None, compares=True, lifted=lifted)
