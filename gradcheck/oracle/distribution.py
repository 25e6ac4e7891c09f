"""The increase of a worst error if products are distributed over sums (docs/math.md, W7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array, Errors, Operation

Sizes = Sequence[Array]

ROUNDINGS: Mapping[str, Callable[[Format, Sizes, Array], float]] = {
    "add": lambda format, _sizes, _result: format.sum_error(1),
    "sub": lambda format, _sizes, _result: format.sum_error(1),
    "accumulate": lambda format, sizes, _result: format.sum_error(len(sizes) - 1),
    "sum": lambda format, sizes, result: format.sum_error(sizes[0].size // max(result.size, 1)),
    "mul": lambda format, _sizes, _result: format.sum_error(1),
    "scale": lambda format, _sizes, _result: format.sum_error(1),
    "outer": lambda format, _sizes, _result: format.sum_error(1),
    "product of three": lambda format, _sizes, _result: format.sum_error(2),
    "itself": lambda _format, _sizes, _result: 0.0,
    "signed": lambda format, _sizes, _result: format.sum_error(2),
    "softplus product": lambda _format, _sizes, _result: 0.0,
    "share": lambda _format, _sizes, _result: 0.0,
    "div": lambda format, _sizes, _result: format.sum_error(2),
    "whole": lambda format, sizes, _result: format.sum_error(len(sizes) + max(operand.ndim for operand in sizes)),
}
"""Linear operations -> (format, operands, result) -> the relative error of each of their terms.

That of a scatter-add depends on the entry: ``Places.sum_error``; sums of products state theirs, ``Operation.relative``.
"""

SUMS = frozenset({"add", "sub", "accumulate", "scatter add", "sum", "matmul", "einsum", "whole"})


class Distributed(NamedTuple):
    """The size of the terms of a result, None if it is a single term; and their increase of its worst error."""

    parts: Errors
    added: Errors


def distributed(operation: Operation, format: Format, sizes: Sizes, parts: Sequence[Errors]) -> Distributed:
    """The terms after an operation, which an engine may apply to each of them before their sum.

    Args:
        operation: a row of the table.
        format: of the backend.
        sizes: the magnitudes of the operands.
        parts: the sizes of the terms of which these are sums.
    """
    has_parts = any(part is not None for part in parts)
    if operation.moves:
        return Distributed(_applied(operation, sizes, parts) if has_parts else None, None)
    if not (operation.name in SUMS or (has_parts and operation.name in ROUNDINGS)):
        return Distributed(None, None)
    terms = _applied(operation, sizes, parts)
    if not has_parts:
        return Distributed(terms, None)
    exact: list[Errors] = [None] * len(parts)
    added = _relative(operation, format, sizes, terms) * (terms - _applied(operation, sizes, exact))
    if not terms.max(initial=0.0) <= format.safe_largest:
        added = np.where(terms <= format.safe_largest, added, np.inf)
    return Distributed(terms, added)


def _relative(operation: Operation, format: Format, sizes: Sizes, terms: Array) -> Array | float:
    """The relative error of each term."""
    if operation.places is not None:
        return operation.places.sum_error(format)
    if operation.relative is not None:
        return operation.relative(format, sizes)
    return ROUNDINGS[operation.name](format, sizes, terms)


def _applied(operation: Operation, sizes: Sizes, parts: Sequence[Errors]) -> Array:
    """The operation on terms; nothing is distributed over a divisor."""
    divides = operation.name == "div"
    given = [
        size if part is None or (divides and position) else part
        for position, (size, part) in enumerate(zip(sizes, parts, strict=True))
    ]
    return np.asarray(np.abs((operation.terms or operation.value)(*given)))
