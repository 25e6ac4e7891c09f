"""Linear algebra: factors of matrices, and systems of linear equations."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import square_shape, system_shape
from gradcheck.graphs.sources import RecordingError, user_line
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import VOCABULARY
from gradcheck.graphs.words.declaration import word


@word
def cholesky(a: Value) -> Shape:
    """The lower triangular matrix L with a = L Lᵀ, of each symmetric positive definite matrix.

    Raises:
        ValueError: they are no square matrices.
    """
    return square_shape(a.shape)


@word
def solve_triangular(a: Value, b: Value, lower: bool = False) -> Shape:
    """The solution x of T x = b, b as for `solve`; T is the upper triangle of a, with lower=True the lower one.

    Raises:
        TypeError: ``lower`` is not a bool.
        ValueError: a has no square matrices, or b does not fit.
    """
    if not isinstance(lower, bool):
        raise TypeError(f"lower={lower!r}: expected True or False")
    return system_shape(a.shape, b.shape)


@word
def solve(a: Value, b: Value) -> Shape:
    """The solution x of a x = b, b a vector if it has one axis, else matrices; the axes before the last two broadcast.

    Raises:
        ValueError: a has no square matrices, or b does not fit.
    """
    return system_shape(a.shape, b.shape)


@word
def inv(a: Value) -> Shape:
    """The inverse of each matrix.

    Raises:
        ValueError: they are no square matrices.
    """
    return square_shape(a.shape)


class Sign:
    """The sign of a determinant, which no loss needs: its gradient is zero."""

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        expected = "leave it out: its gradient is zero; slogdet(a)[1] is the logarithm"
        raise RecordingError(f"{user_line()}: the sign of a determinant is not recorded: {expected}")


class Determinant(NamedTuple):
    """What ``slogdet`` gives: the sign, for which there is no word, and the logarithm of the magnitude."""

    sign: Sign
    logabsdet: Value


@word
def slogdet(a: Value) -> Shape:
    """The logarithm of the magnitude of each determinant, as the second of a pair; the sign is not recorded.

    Raises:
        ValueError: they are no square matrices.
    """
    return square_shape(a.shape)[:-2]


def determinant(a: Value) -> Determinant:
    """The sign of a determinant, and the logarithm of its magnitude."""
    return Determinant(Sign(), VOCABULARY["slogdet"](a))
