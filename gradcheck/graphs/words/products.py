"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

from gradcheck.graphs.graph import Shape
from gradcheck.graphs.shapes import broadcast_shape, matrix_shape, outer_shape, paired_axes, reduced_shape
from gradcheck.graphs.subscripts import parsed
from gradcheck.graphs.values import Value
from gradcheck.graphs.vocabulary import OPERATORS
from gradcheck.graphs.words.declaration import Word, word
from gradcheck.graphs.words.moving import Values


@word
def matmul(a: Value, b: Value) -> Shape:
    """The product A B of vectors and matrices; the axes before those of matrices broadcast."""
    return matrix_shape(a.shape, b.shape)


OPERATORS["matmul"] = Word("matmul", "operator @", matmul.rule, "floating")


@word
def vecdot(a: Value, b: Value, axis: int = -1) -> Shape:
    """The products of vectors along an axis; the other axes broadcast."""
    if not -min(a.ndim, b.ndim) <= axis <= -1:
        raise ValueError(f"axis={axis} of shapes {a.shape} and {b.shape}: expected a negative axis that both have")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit: expected equal lengths along axis {axis}")
    left, right = (reduced_shape(each.shape, (each.ndim + axis,), keepdims=False) for each in (a, b))
    return broadcast_shape(left, right, (a.shape, b.shape))


@word
def tensordot(a: Value, b: Value, axes: Any = 2) -> Shape:
    """The products summed over some axes of both: the last ones of a and the first ones of b, or pairs of axes."""
    of_a, of_b = paired_axes(a.shape, b.shape, axes)
    return reduced_shape(a.shape, of_a, keepdims=False) + reduced_shape(b.shape, of_b, keepdims=False)


@word
def einsum(subscripts: str, *operands: Values) -> Shape:
    """The sums of products over labels of axes, as in "bij,bjk->bik"."""
    values: Any = operands
    if len(values) < 2:
        raise ValueError(f"got {len(values)} operand: expected two or more; write ops.sum or ops.permute_dims")
    shapes = [value.shape for value in values]
    labels, out = parsed(subscripts, shapes)
    sizes = dict(zip("".join(labels), [size for shape in shapes for size in shape], strict=True))
    return tuple(sizes[label] for label in out)


@word
def outer(a: Value, b: Value) -> Shape:
    """The matrix a bᵀ of two vectors."""
    return outer_shape(a.shape, b.shape)
