"""The class of operations: one row of the table, with its value, gradients and error rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gradcheck.dtypes import Kind
from gradcheck.oracle.formats import WIDENING, Format
from gradcheck.oracle.operations.places import Index, Places
from gradcheck.oracle.operations.rules import RULES
from gradcheck.oracle.operations.terms import (
    DOUBT,
    Array,
    Bounded,
    Errors,
    PartialSums,
    Spread,
    Values,
    Variance,
    Variances,
    Worst,
)

Shape = tuple[int, ...]

ROUNDING_DEVIATION = 0.6
"""Standard deviation of one rounding error, in units of u·|result| (docs/math.md, W14).

A relative error uniform in ±u has 1/√3 = 0.58 (its independence: Higham and Mary 2019, "A new approach to probabilistic
rounding error analysis").
"""

TYPICAL = 8.0
"""The multiple of s that correct backends usually do not exceed: a normal error is larger once in 10¹⁵ entries."""


@dataclass(frozen=True, eq=False, slots=True)
class Operation:
    """One row of the table of operations.

    The error rules hold around any middle: for computed operands within ``error`` of their middles they bound how far
    the computed result lies from the exact result of the middles. So one rule gives the radius of a reference (in its
    own format, with its radii as errors) and the worst error of a backend.

    Attributes:
        name: as the vocabulary spells it.
        value: operands -> result, in float64, longdouble, or objects with operators.
        gradients: (gradient, result, *operands), all variables -> one contribution for each operand, None where none
            flows; it may have the result's shape where an operand was broadcast, and be placed in zeros.
        worst: (format, result, *terms), the result without errors yet -> its largest error.
        variance: the same for variances, in the terms and in the result; None for a decision: the result selects the
            branch, and its error is the doubt, how far that is open.
        shape: shapes of the operands -> shape; raises ValueError where they do not fit.
        ball: operands -> result for object arrays of Arb balls, where ``value`` does not serve.
        coherent: (format, result, *terms) -> how far correct backends differ by a choice that they make in the same way
            in all entries, in addition to the effect of the operands' choices; None where there is no choice.
        partial_sums: (format, *terms) -> the largest intermediate magnitude if that is not the result; it must not
            overflow.
        terms: sizes of the operands -> the size of the terms of the result, where that is not their ``value``.
        keeps_infinities: an operand that is exactly infinite makes the result so, for any other operands.
        cut: shapes of the operands -> of which of them a row of the result needs only that row, and all of the others;
            None where it may need all of each.
        relative: (format, sizes of the operands) -> the relative error of each term of a sum of products.
        moves: entries are moved, copied or negated and never rounded, whatever their dtype.
        compares: the result is a condition for ``where``.
        multiplies: entries of an operand -> the products of some of each row; None where the result is none of these.
        conventions: name -> the same operation, in which a tie is not a doubt: the convention decides it.
        places: where each operand is added into zeros; None where operands are whole.
        bind: integers of a case, the last operands, -> the operation for the other operands; None where it needs none.
        indices: how many operands these integers are.
        settle: entries of a case, of its only operand, -> the operation whose result is the integers that follow from
            them; its errors are infinite where errors of the entries leave these integers open. None for all others.
        lifted: shapes of the operands in one case -> the operation for several cases at once, whose arrays have one
            more axis before all others, or None where each case is evaluated by itself; see `over_cases`.
    """

    name: str
    value: Callable[..., Array]
    gradients: Callable[..., tuple[Contribution | None, ...]]
    worst: Worst
    variance: Variance | None
    shape: Callable[..., Shape] = np.broadcast_shapes
    ball: Callable[..., Array] | None = None
    coherent: Variance | None = None
    partial_sums: PartialSums | None = None
    terms: Callable[..., Array] | None = None
    keeps_infinities: bool = False
    cut: Callable[..., tuple[bool, ...]] | None = None
    relative: Callable[[Format, Sequence[Array]], float] | None = None
    moves: bool = False
    compares: bool = False
    multiplies: Callable[[Array], Array] | None = None
    conventions: Mapping[str, Operation] | None = None
    places: Places | None = None
    bind: Callable[..., Operation] | None = None
    indices: int = 0
    settle: Callable[[Array], Operation] | None = None
    lifted: Callable[..., Lifted | None] | None = None

    @property
    def decides(self) -> bool:
        """Whether the result selects a branch."""
        return self.variance is None


class Lifted(NamedTuple):
    """An operation for several cases at once, and the shape that it takes each operand in, without the first axis."""

    operation: Operation
    shapes: tuple[Shape, ...]


def over_cases(operation: Operation, shapes: Sequence[Shape]) -> Lifted | None:
    """An operation for several cases at once; None where each case needs an evaluation of its own.

    Args:
        operation: for one case.
        shapes: of its operands in one case.
    """
    if operation.lifted is not None:
        return operation.lifted(*shapes)
    if operation.shape is not np.broadcast_shapes or operation.places is not None or operation.multiplies is not None:
        return None
    axes = max(map(len, shapes))  # entry by entry, so that it needs the same axes in all operands
    return Lifted(operation, tuple((1,) * (axes - len(shape)) + shape for shape in shapes))


class Recorder:
    """Where variables append the operations that are applied to them; see ``tape.Recording``."""

    def append(self, operation: Operation, operands: Sequence[Variable]) -> Variable:
        """Add a node to the tape; raises ValueError where the shapes do not fit."""
        raise NotImplementedError

    def pull_back(self, result: Variable, gradient: Variable, operands: Sequence[Variable]) -> list[Variable]:
        """Append a reverse pass from a result to operands of it, as if these were inputs; zeros where none flows."""
        raise NotImplementedError


class Variable:
    """A value of the loss while it is recorded: a shape without entries.

    Attributes:
        recorder: the tape being written.
        index: of its node there.
        shape: of the value.
        kind: of its entries; booleans may only be conditions.
        arranged: its arrangements for matrix products that are recorded: order of axes and shape -> variable.
    """

    __slots__ = ("arranged", "index", "kind", "recorder", "shape")
    __array_ufunc__ = None  # with NumPy scalars on the left, Python calls our operators

    def __init__(self, recorder: Recorder, index: int, shape: Shape, kind: Kind = "floating") -> None:
        self.recorder = recorder
        self.index = index
        self.shape = shape
        self.kind = kind
        self.arranged: dict[tuple[tuple[int, ...], Shape], Variable] = {}

    @property
    def is_condition(self) -> bool:
        """Whether it is made of booleans."""
        return self.kind == "boolean"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __neg__(self) -> Variable:
        return operated("neg", self)

    def __add__(self, other: Operand) -> Variable:
        return operated("add", self, other)

    def __radd__(self, other: Operand) -> Variable:
        return operated("add", other, self)

    def __sub__(self, other: Operand) -> Variable:
        return operated("sub", self, other)

    def __rsub__(self, other: Operand) -> Variable:
        return operated("sub", other, self)

    def __mul__(self, other: Operand) -> Variable:
        return operated("mul", self, other)

    def __rmul__(self, other: Operand) -> Variable:
        return operated("mul", other, self)

    def __truediv__(self, other: Operand) -> Variable:
        return operated("truediv", self, other)

    def __rtruediv__(self, other: Operand) -> Variable:
        return operated("truediv", other, self)

    def __pow__(self, exponent: float) -> Variable:
        return operated("pow", self, exponent)

    def __matmul__(self, other: Variable) -> Variable:
        return operated("matmul", self, other)

    def __gt__(self, other: Operand) -> Variable:
        return operated("gt", self, other)

    def __lt__(self, other: Operand) -> Variable:
        return operated("gt", other, self)

    def __ge__(self, other: Operand) -> Variable:
        return operated("ge", self, other)

    def __le__(self, other: Operand) -> Variable:
        return operated("ge", other, self)

    def __rmatmul__(self, other: Variable) -> Variable:
        return operated("matmul", other, self)


class IndexOf(NamedTuple):
    """An index that the integers of a case make."""

    integers: tuple[Variable, ...]
    make: Callable[..., Index]


class Placed(NamedTuple):
    """A contribution to the gradient of an array: zeros, except for the entries at an index."""

    place: Index | IndexOf
    entries: Variable


Contribution = Variable | Placed


def operated(name: str, *operands: Any) -> Variable:
    """Record a word or an operator by its name in the graph."""
    result: Variable = RULES[name].function(*operands)
    return result


Operand = Variable | float


def apply(operation: Operation, *operands: Operand) -> Variable:
    """Record one operation on variables of one recording and real numbers.

    Raises:
        ValueError: the shapes do not fit.
    """
    recorder = next(operand.recorder for operand in operands if isinstance(operand, Variable))
    variables = [
        operand if isinstance(operand, Variable) else recorder.append(constant(float(operand)), ())
        for operand in operands
    ]
    return recorder.append(operation, variables)


def constant(value: Array | float) -> Operation:
    """Numbers of the loss itself, exact if the backend's format has them, else rounded once."""
    return Operation(
        "constant",
        value=lambda: np.asarray(value),
        gradients=lambda _g, _v: (),
        worst=lambda format, result: _where_inexact(format, value, rounded(format, result.size, None)),
        variance=lambda format, result: _where_inexact(format, value, rounding_variance(format, result.size)),
        shape=lambda: np.shape(value),
        moves=True,
    )


def _where_inexact(format: Format, value: Array | float, errors: Array) -> Errors:
    exact = format.represents(float(value)) if np.ndim(value) == 0 else format.represents_each(np.asarray(value))
    return None if np.all(exact) else np.where(exact, 0.0, errors)


def integers(value: Array | int) -> Operation:
    """Integers of the loss itself."""
    return Operation(
        "constant",
        value=lambda: np.asarray(value, np.int64),
        gradients=lambda _g, _v: (),
        worst=lambda *_: None,
        variance=lambda *_: None,
        shape=lambda: np.shape(value),
        moves=True,
    )


def middle(dtype: np.dtype[Any], operation: Operation, operands: Sequence[Array]) -> Array:
    """The result of an operation in a dtype; entries that are only moved keep theirs."""
    if operation.moves:
        return np.asarray(operation.value(*operands))
    return np.asarray(operation.value(*(_working(dtype, operand) for operand in operands)))


def _working(dtype: np.dtype[Any], array: Array) -> Array:
    return array if array.dtype in (bool, dtype) else array.astype(dtype)


def no_gradients(_g: Variable, _v: Variable, *operands: Variable) -> tuple[None, ...]:
    """Those of a result that does not change with its operands, but in jumps."""
    return (None,) * len(operands)


CONVERSION = Operation(
    "astype",
    value=lambda a: a,
    gradients=no_gradients,
    worst=lambda format, result, _a: _where_inexact(format, result.middle, rounded(format, result.size, None)),
    variance=lambda format, result, _a: _where_inexact(format, result.middle, rounding_variance(format, result.size)),
)
"""Integers as floats: each is rounded once, where the format lacks it (docs/math.md, R9)."""


def same_error(_format: Format, _result: Values, a: Bounded) -> Errors:
    """The error of an operand that is passed on."""
    return a.error


def same_variance(_format: Format, _result: Values, a: Spread, *_: Spread) -> Variances:
    """The variance of an operand that is passed on."""
    return a.variance


def total(*errors: Errors) -> Errors:
    """The sum of those that are not exact."""
    result: Errors = None
    for error in errors:
        if error is not None:
            result = error if result is None else result + error
    return result


def rounded(format: Format, size: Array, propagated: Errors, roundings: int = 1) -> Array:
    """A result's error with its own roundings, E + θ(n, u)·(|v|+E) + nt (R9; Higham 2002, sections 2.2 and 3.1)."""
    relative = format.sum_error(roundings)
    local = relative * size + roundings * format.underflow
    return local if propagated is None else local + (1 + relative) * propagated


def as_read(format: Format, term: Bounded) -> Bounded:
    """An operand as an operation reads it: perhaps as zero if it may be subnormal (DAZ; docs/math.md, R11)."""
    moved = _flushed(format, term, term.errors)
    return term if moved is None else Bounded(term.source, term.errors + moved)


def as_typically_read(format: Format, term: Spread) -> Spread:
    """The same of an operand with a variance."""
    moved = _flushed(format, term, DOUBT * np.sqrt(term.variances)) if format.flush else None
    return term if moved is None else Spread(term.source, term.variances + np.where(moved > 0, square(moved), 0.0))


def _flushed(format: Format, term: Values, errors: Array) -> Array | None:
    """The change of an operand whose subnormal entries are read as zero: itself, less than λ; None: no change."""
    if not format.flush:
        return None
    open_ = (term.size - errors * WIDENING < format.flush) & (term.native != 0)
    return np.where(open_, np.minimum(term.size, format.flush), 0.0) if open_.any() else None


def rounding_variance(format: Format, size: Array, roundings: float = 1.0) -> Array:
    """The variance of a result's own rounding, (0.6·n·u·v)² + λ² (docs/math.md, W14)."""
    return np.square((ROUNDING_DEVIATION * roundings * format.roundoff) * size) + format.variance_floor


def summing_variance(terms: int) -> tuple[float, float]:
    """The part of a variance from the rounding of partial sums (W1): (0.6u)²·(first·Σv² + second·(Σv)²).

    The error of a sum is Σ δₖSₖ over its partial sums (Higham 2002, section 4.2). In random order Sₖ has mean k·Σv/n
    and a variance below k·Σv²/n; Σk² is about n³/3 and Σk n²/2. Engines that sum in blocks stay below.
    """
    return terms / 2, terms / 3


def square(size: Array) -> Array:
    """Squares that do not underflow: a variance that is too large costs power, but raises no false alarm."""
    squares = np.asarray(size * size)
    squares += 2.0**-1022
    return squares
