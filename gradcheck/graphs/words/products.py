"""Products of vectors and matrices."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import matrix_shape, outer_shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import OPERATORS
from gradcheck.graphs.words.declaration import Word, word


@word
def matmul(a: Value, b: Value) -> Shape:
    """The product A B of vectors and matrices; the axes before those of matrices broadcast."""
    return matrix_shape(a.shape, b.shape)


OPERATORS["matmul"] = Word("matmul", "operator @", matmul.rule, "floating")


@word
def outer(a: Value, b: Value) -> Shape:
    """The matrix a bᵀ of two vectors."""
    return outer_shape(a.shape, b.shape)
