"""The size of the terms whose sum an array is: the measure of rounding where they cancel (docs/math.md, W11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array, Operation
from gradcheck.oracle.operations.base import TYPICAL
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic
from gradcheck.oracle.tape import Key, Tape
from gradcheck.oracle.walks import Walk, whole

LINEAR = frozenset(
    {
        "add",
        "accumulate",
        "any",
        "cumulative sum",
        "div",
        "einsum",
        "itself",
        "matmul",
        "mul",
        "outer",
        "product of three",
        "scale",
        "scatter add",
        "share",
    }
    | {"signed", "softplus product", "sum", "where"}
)
"""Operations whose value of magnitudes is the size of their terms; where they only move entries, that is so too."""

CANCELLING: Mapping[str, Callable[..., Array]] = {
    "log_softmax": lambda _a: np.ones(()),
    "logsumexp": lambda _a: np.ones(()),
    "normal distribution": lambda _a: np.ones(()),
    "slogdet": lambda _a: np.ones(()),
    "sub": np.add,
    "sigmoid derivative": lambda s: s * (1 + s),
    "tanh derivative": lambda t: 1 + t * t,
    "vanishing": lambda moved, g, a: 2 * moved * g / a,
}
"""Operations that contain a difference -> the size of its terms. For all others only the value counts.

log-sum-exp has log S of a sum S with one term equal to 1: the rest, S − 1, is as accurate as its rounding.
"""


def sizes_of_terms(tape: Tape, inputs: Mapping[str, Array], format: Format) -> dict[Key, float]:
    """The largest size of the terms of each output.

    An operand that is zero within rounding counts with the size of its terms, and any other operand with its value: so
    sizes do not grow along a tape, unless zeros do. Half of the digits of the terms must remain: digits that a
    recursion loses by growing errors are not a cancellation. Below λ/u the error λ of an underflow is no larger than a
    rounding error.

    Args:
        tape: of the problem.
        inputs: name -> array, exact.
        format: of the backend.
    """
    walk = Walk(tape, inputs, Arithmetic.float64(format, radii=False))
    sizes: list[Array] = []
    with np.errstate(all="ignore"):
        for index in walk.steps():
            node, result = tape.nodes[index], whole(walk.results[index])
            sizes.append(_size(node.operation, [sizes[operand] for operand in node.operands], result, format))
        return {key: float(sizes[index].max(initial=0.0)) for key, index in tape.outputs.items()}


def _size(operation: Operation | None, operands: Sequence[Array], result: Quantity, format: Format) -> Array:
    """The size of a result: that of its terms, and at least λ/u, where it is zero within their rounding."""
    if result.middle.dtype == bool:
        return result.middle
    size = np.abs(result.float64)
    if operation is None or result.variance is None:
        return size
    terms = size
    if operation.name in CANCELLING:
        terms = CANCELLING[operation.name](*operands)
    elif operation.moves or operation.name in LINEAR:
        terms = np.abs(operation.value(*operands))
    terms = np.maximum(np.maximum(terms, size), format.normal / format.roundoff)
    error = TYPICAL * np.sqrt(result.variance)
    return np.where((size <= error) & (error <= np.sqrt(format.roundoff) * terms), terms, size)
