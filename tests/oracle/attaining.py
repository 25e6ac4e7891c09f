"""Helpers of the tests that attain the rules of docs/math.md: one step of a walk, around operands with given errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradcheck.oracle import Format, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, evaluate

SINGLE = Format.of("float32")
U = SINGLE.roundoff
NORMAL, SMALLEST, LARGEST = SINGLE.normal, SINGLE.smallest, SINGLE.largest


def operation_of(word: Callable[..., Any], *shapes: tuple[int, ...]) -> Operation:
    """The row of the table that a word records for operands of some shapes."""
    names = [f"x{number}" for number in range(len(shapes))]

    def loss(ops: Any, **operands: Any) -> Any:
        return ops.sum(ops.watch("result", word(ops, *(operands[name] for name in names))))

    tape = record(loss, dict(zip(names, shapes)), ())
    watched = tape.nodes[tape.outputs["value", "result"]]
    operation = tape.nodes[watched.operands[0]].operation
    assert operation is not None
    return operation


def step(
    operation: Operation,
    middles: Sequence[Any],
    *,
    errors: Sequence[Any] = (),
    variances: Sequence[Any] = (),
    format: Format = SINGLE,
    decides: bool = False,
) -> Quantity:
    """The walk's result for operands with errors up to `errors`, or with `variances`; None where one is exact.

    The first operand may be a share, which decides which operand gets a gradient.
    """
    nothing = [None] * len(middles)
    operands = [
        Quantity(np.asarray(middle, np.float64), worst=as_array(error), variance=as_array(variance))
        for middle, error, variance in zip(middles, errors or nothing, variances or nothing)
    ]
    if decides:
        operands[0].decides = True
    return evaluate(Arithmetic.float64(format, radii=False), operation, operands)


def as_array(value: Any) -> np.ndarray | None:
    return None if value is None else np.asarray(value, np.float64)


def share(answer: Any, result: Quantity) -> float:
    """The largest error of an answer in units of its worst bound."""
    assert result.worst is not None
    return float(np.max(np.abs(np.asarray(answer, np.float64) - result.float64) / result.worst))


def ratio(answers: Any, result: Quantity) -> float:
    """The root mean square of the errors of many answers (along axis 0) in standard deviations."""
    assert result.variance is not None
    errors = np.asarray(answers, np.float64) - result.float64
    return float(np.sqrt(np.mean(np.square(errors) / result.variance)))
