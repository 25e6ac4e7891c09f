"""Values that engines compute in one fused kernel, in other forms than the steps that are recorded for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradcheck.oracle.operations.base import Operation
from gradcheck.oracle.operations.terms import Array, Errors, Variances


def fused(
    name: str,
    worst: Callable[..., Errors],
    variance: Callable[..., Variances],
    gradients: Callable[..., tuple[Any, ...]],
    partial_sums: Callable[..., Array] | None = None,
) -> Operation:
    """An operation that hands on its first operand: with the errors of other forms, and with a gradient of its own.

    Args:
        name: of what is computed.
        worst: of the result in any form; further operands are what the forms are made of.
        variance: the same of its variance.
        gradients: see `Operation`; none flows to the first operand.
        partial_sums: see `Operation`.
    """
    return Operation(
        name,
        lambda first, *_: first,
        gradients,
        worst,
        variance,
        shape=lambda first, *_: first,
        partial_sums=partial_sums,
        moves=True,
    )
