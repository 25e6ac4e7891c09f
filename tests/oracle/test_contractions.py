"""Products over batches and labelled axes: NumPy's values and derivatives, in blocks of rows as at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.running_error import has_extended_precision

Shape = tuple[int, ...]

MATRICES: list[tuple[Shape, Shape]] = [
    ((4, 3), (3, 5)), ((3,), (3,)), ((4, 3), (3,)), ((3,), (3, 5)), ((2, 4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)),
    ((2, 1, 4, 3), (6, 3, 5)), ((4, 3), (2, 3, 5)), ((3,), (2, 3, 5)), ((2, 4, 3), (3,)), ((1, 4, 3), (2, 3, 5)),
    ((2, 1, 3), (2, 3, 1)), ((2, 4, 0), (2, 0, 5)), ((2, 0, 3), (3, 5)), ((0, 2, 3), (3, 5)), ((0, 3), (3,)),
]  # fmt: skip
SUBSCRIPTS: list[tuple[str, tuple[Shape, ...]]] = [
    ("ij,jk->ik", ((3, 4), (4, 2))), ("bij,bjk->bik", ((2, 3, 4), (2, 4, 2))), ("ij,jk->k", ((3, 4), (4, 2))),
    ("i,j->ji", ((3,), (4,))), ("ij,jk,kl->il", ((3, 4), (4, 2), (2, 5))), ("i,ij,j", ((3,), (3, 4), (4,))),
    ("...ij,jk", ((2, 3, 4), (4, 2))), ("i,i,i->i", ((3,), (3,), (3,))), (",ij->j", ((), (3, 4))),
    ("ij,kl->", ((3, 4), (2, 2))), ("ij,jk->ik", ((3, 70), (70, 2))), ("ij,j->i", ((3, 0), (0,))),
    ("bi,ijk,bj->bk", ((2, 3), (3, 4, 5), (2, 4))),
]  # fmt: skip
AXES: list[tuple[Shape, Shape, Any]] = [
    ((2, 3, 4), (3, 4, 5), 2), ((2, 3), (4,), 0), ((2, 3, 4), (5, 4, 2), ((0, -1), (2, 1))), ((2, 3), (2, 3), 2),
]  # fmt: skip
VECTORS: list[tuple[Shape, Shape, int]] = [
    ((2, 3, 4), (3, 4), -1), ((2, 3, 4), (3, 1), -2), ((4,), (4,), -1), ((2, 1, 4), (1, 3, 4), -1),
    ((2, 3, 1), (1,), -1),
]  # fmt: skip


def assert_derivatives(word: Callable[..., Any], function: Callable[..., Any], *shapes: Shape) -> None:
    """The value of a multilinear word, and its gradients, which differences give exactly but for rounding."""
    generator = np.random.default_rng(0)
    inputs = {f"x{number}": generator.normal(size=shape) for number, shape in enumerate(shapes)}
    weights = generator.normal(size=np.shape(function(*inputs.values())))
    tape = record(
        lambda ops, **given: ops.sum(weights * ops.watch("out", word(ops, *given.values()))),
        {name: array.shape for name, array in inputs.items()},
        tuple(inputs),
    )
    for format in (Format.of("float64"), Format.of("bfloat16", accumulator="float32")):
        analysis = analyse(tape, inputs, format)
        got = {name: analysis["gradient", name].enclosure.high for name in inputs}
        assert np.allclose(analysis["value", "out"].enclosure.high, function(*inputs.values()), rtol=1e-13, atol=1e-13)
        for name, slopes in differences(lambda *given: np.sum(weights * function(*given)), inputs):
            assert np.allclose(got[name], slopes, rtol=1e-11, atol=1e-11), name
            assert np.isfinite(analysis["gradient", name].spread).all()


def differences(loss: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    for name, array in inputs.items():
        slopes = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            unit = np.zeros(array.shape)
            unit[index] = 0.5
            slopes[index] = loss(*(inputs | {name: array + unit}).values()) - loss(
                *(inputs | {name: array - unit}).values()
            )
        yield name, slopes


@pytest.mark.parametrize(("a", "b"), MATRICES, ids=str)
def test_matrices_over_batches(a: Shape, b: Shape) -> None:
    assert_derivatives(lambda _ops, a, b: a @ b, np.matmul, a, b)


@pytest.mark.parametrize(("subscripts", "shapes"), SUBSCRIPTS, ids=str)
def test_einsum(subscripts: str, shapes: tuple[Shape, ...]) -> None:
    assert_derivatives(lambda ops, *x: ops.einsum(subscripts, *x), lambda *x: np.einsum(subscripts, *x), *shapes)


@pytest.mark.parametrize(("a", "b", "axes"), AXES, ids=str)
def test_tensordot(a: Shape, b: Shape, axes: Any) -> None:
    assert_derivatives(lambda ops, a, b: ops.tensordot(a, b, axes), lambda a, b: np.tensordot(a, b, axes), a, b)


@pytest.mark.parametrize(("a", "b", "axis"), VECTORS, ids=str)
def test_vecdot(a: Shape, b: Shape, axis: int) -> None:
    assert_derivatives(lambda ops, a, b: ops.vecdot(a, b, axis), lambda a, b: np.sum(a * b, axis), a, b)


@pytest.mark.parametrize(("a", "b"), MATRICES, ids=str)
def test_blocks_of_rows_are_those_of_the_whole(a: Shape, b: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    inputs = {"a": generator.normal(size=a), "b": generator.normal(size=b)}
    tape = record(lambda ops, a, b: ops.sum(ops.watch("out", a @ b) ** 2), {"a": a, "b": b}, ("a", "b"))
    whole = analyse(tape, inputs, Format.of("float32"))
    monkeypatch.setattr("gradcheck.oracle.walks.BLOCK", 4)
    for key, output in analyse(tape, inputs, Format.of("float32")).items():
        assert np.allclose(output.enclosure.high, whole[key].enclosure.high, rtol=1e-12, atol=1e-12), (
            key
        )  # BLAS differs
        assert np.allclose(output.worst, whole[key].worst, rtol=1e-9, atol=0), key


@pytest.mark.skipif(not has_extended_precision(), reason="this platform's longdouble is no wider than float64")
@pytest.mark.parametrize("terms", [9, 33, 65, 1000])
@pytest.mark.parametrize("tiny", [2.0**-68, 2.0**-66, 2.0**-64])
def test_our_own_sum_in_longdouble_errs_by_less_than_its_radius(terms: int, tiny: float) -> None:
    """1 and terms that vanish beside it, in its own piece and in each half that is added to it."""
    row, ones = np.full((1, terms), tiny), np.ones(terms)
    row[0, 0] = 1.0
    tape = record(lambda ops, M, v: ops.sum(ops.watch("y", M @ v)), {"M": (1, terms), "v": (terms,)}, ("M",))
    enclosure = analyse(tape, {"M": row, "v": ones}, Format.of("float64"))["value", "y"].enclosure
    [high], [low], [radius] = (part.tolist() for part in enclosure.parts)
    error = abs(1 + (terms - 1) * Fraction(tiny) - Fraction(high) - Fraction(low))
    assert error <= radius
    piecewise = 8 + math.ceil(math.log2(terms / 8))
    assert radius == pytest.approx(piecewise * 2.0**-64, rel=0.01, abs=0)
    if tiny == 2.0**-68 and terms == 1000:
        assert error > radius / 8, "many of them vanish"
