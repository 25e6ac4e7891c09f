"""Products of vectors and matrices, and the transpose."""

from __future__ import annotations

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import matrix_shape, outer_shape, transposed_shape
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import OPERATORS
from gradcheck.graphs.words.declaration import Word, word
from gradcheck.graphs.words.moving import Entries


@word
def matmul(a: Value, b: Value) -> Shape:
    """The product A B of vectors and matrices."""
    return matrix_shape(a.shape, b.shape)


OPERATORS["matmul"] = Word("matmul", "operator @", matmul.rule, "floating")


@word
def outer(a: Value, b: Value) -> Shape:
    """The matrix a bᵀ of two vectors."""
    return outer_shape(a.shape, b.shape)


@word
def transpose(a: Entries) -> Shape:
    """The transpose Aᵀ."""
    return transposed_shape(a.shape)
