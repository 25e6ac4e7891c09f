"""Convolution and pooling: R30 of docs/math.md, and their gradients beside loops over all entries."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.tape import Tape

DOUBLE, SINGLE = Format.of("float64"), Format.of("float32")
U = SINGLE.roundoff
CASES = [
    ((2, 2, 7), (4, 1, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    ((1, 3, 5, 4), (2, 3, 2, 3), {"stride": (2, 1), "padding": (1, 0)}),
    ((2, 1, 3), (1, 1, 1), {"padding": 2, "stride": 3}),
    ((1, 2, 3, 3, 3), (2, 2, 2, 2, 2), {"dilation": 2}),
]


def tape_of(word: str, shapes: dict[str, tuple[int, ...]], result: tuple[int, ...], *given: Any, **named: Any) -> Tape:
    def loss(ops: Any, g: Any, **operands: Any) -> Any:
        return ops.sum(g * getattr(ops, word)(*operands.values(), *given, **named))

    return record(loss, {**shapes, "g": result}, tuple(shapes))


def each(step: Any, axes: int) -> tuple[int, ...]:
    return (step,) * axes if isinstance(step, int) else step


def by_loops(x: np.ndarray, w: np.ndarray, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1):
    """The terms of each entry of a convolution: places in x and in w."""
    axes = x.ndim - 2
    steps, pads, gaps = (each(step, axes) for step in (stride, padding, dilation))
    counts = [
        (size + 2 * pad - gap * (length - 1) - 1) // step + 1
        for size, pad, gap, length, step in zip(x.shape[2:], pads, gaps, w.shape[2:], steps)
    ]
    for batch, filter, *place in product(range(len(x)), range(len(w)), *map(range, counts)):
        group = filter // (len(w) // groups)
        for channel, *tap in product(range(w.shape[1]), *map(range, w.shape[2:])):
            at = [j * step + t * gap - pad for j, step, t, gap, pad in zip(place, steps, tap, gaps, pads)]
            if all(0 <= i < size for i, size in zip(at, x.shape[2:])):
                yield (batch, filter, *place), (batch, group * w.shape[1] + channel, *at), (filter, channel, *tap)


@pytest.mark.parametrize(("x", "w", "steps"), CASES)
def test_a_convolution_and_its_gradients_are_sums_over_all_windows(
    x: tuple[int, ...], w: tuple[int, ...], steps: dict[str, Any]
) -> None:
    random = np.random.default_rng(0)
    inputs = {"x": random.integers(-9, 9, x).astype(float), "w": random.integers(-9, 9, w).astype(float)}
    terms = list(by_loops(inputs["x"], inputs["w"], **steps))
    result = tuple(np.max([place for place, _, _ in terms], axis=0) + 1)
    if "padding" in steps:  # a window at an end may have no entry
        result = record(lambda ops, x, w: ops.sum(ops.watch("v", ops.conv(x, w, **steps))), {"x": x, "w": w}, ("x",))
        result = result.nodes[result.outputs["value", "v"]].shape
    inputs["g"] = random.integers(-9, 9, result).astype(float)
    expected = {"x": np.zeros(x), "w": np.zeros(w)}
    loss = 0.0
    for of_g, of_x, of_w in terms:
        loss += inputs["g"][of_g] * inputs["x"][of_x] * inputs["w"][of_w]
        expected["x"][of_x] += inputs["g"][of_g] * inputs["w"][of_w]
        expected["w"][of_w] += inputs["g"][of_g] * inputs["x"][of_x]
    found = analyse(tape_of("conv", {"x": x, "w": w}, result, **steps), inputs, DOUBLE)
    assert found["loss", None].enclosure.high == loss
    for name, gradient in expected.items():
        np.testing.assert_array_equal(found["gradient", name].enclosure.high, gradient)


def test_the_gradient_of_a_convolution_errs_by_all_of_its_terms() -> None:
    """R30: sums of 8 channels and 9 entries of windows in one loop, each product and each addition off by u."""
    shapes = {"x": (1, 2, 9, 9), "w": (8, 2, 3, 3)}
    inputs = {name: np.ones(shape) for name, shape in shapes.items()} | {"g": np.ones((1, 8, 9, 9))}
    found = analyse(tape_of("conv", shapes, (1, 8, 9, 9), padding=1), inputs, SINGLE)["gradient", "x"]
    total = 0.0
    for _ in range(72):
        total = (total + (1 + U)) * (1 + U)
    assert 0.5 < (total - 72) / found.worst[0, 0, 4, 4] <= 1


def test_the_gradient_of_filters_errs_by_all_windows_of_all_examples() -> None:
    shapes = {"x": (8, 1, 16), "w": (1, 1, 1)}
    inputs = {name: np.ones(shape) for name, shape in shapes.items()} | {"g": np.ones((8, 1, 16))}
    found = analyse(tape_of("conv", shapes, (8, 1, 16)), inputs, SINGLE)["gradient", "w"]
    total = 0.0
    for _ in range(128):
        total = (total + (1 + U)) * (1 + U)
    assert 0.5 < (total - 128) / found.worst[0, 0, 0] <= 1


def test_overlapping_windows_add_up_their_gradients() -> None:
    inputs = {"x": np.array([[[1.0, 5.0, 2.0, 7.0, 3.0]]]), "g": np.array([[[1.0, 2.0, 4.0]]])}
    tape = tape_of("max_pool", {"x": (1, 1, 5)}, (1, 1, 3), 3, 2, 1)
    assert analyse(tape, inputs, DOUBLE)["gradient", "x"].enclosure.high.tolist() == [[[0.0, 1.0, 0.0, 6.0, 0.0]]]


def test_means_of_windows_share_their_gradient_among_all_entries() -> None:
    inputs = {"x": np.zeros((1, 1, 4)), "g": np.array([[[2.0, 4.0, 8.0]]])}
    tape = tape_of("avg_pool", {"x": (1, 1, 4)}, (1, 1, 3), 2, 1)
    assert analyse(tape, inputs, DOUBLE)["gradient", "x"].enclosure.high.tolist() == [[[1.0, 3.0, 6.0, 4.0]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ops, x, w: ops.conv(x, w, groups=3), "with 3 groups do not fit: expected 3 · groups channels"),
        (lambda ops, x, w: ops.conv(x, w[:, :2]), "do not fit: expected 2 · groups channels"),
        (lambda ops, x, w: ops.conv(x[0], w[0]), r"shape \(3, 8\): expected \(batch, channels, …\)"),
        (lambda ops, x, w: ops.conv(x, w, dilation=5), r"a window of \(3,\) does not fit into \(8,\)"),
        (lambda ops, x, w: ops.max_pool(x, 3, padding=2), r"padding \(2,\): expected at most half of the window"),
        (lambda ops, x, w: ops.avg_pool(x, (2, 2)), r"window=\(2, 2\): expected a whole number, or one for each"),
        (lambda ops, x, w: ops.max_pool(x, 2, 0), "stride=0: expected at least 1"),
    ],
)
def test_windows_that_do_not_fit_are_refused_with_what_would(call: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        record(lambda ops, x, w: ops.sum(call(ops, x, w)), {"x": (2, 3, 8), "w": (4, 3, 3)}, ("x",))


@pytest.mark.parametrize("format", [DOUBLE, Format.of("float64", flushes=True)], ids=["subnormal", "flushes"])
def test_padding_is_never_the_largest(format: Format) -> None:
    inputs = {"x": np.array([[[-3.0, -1.0, -2.0]]]), "g": np.ones((1, 1, 2))}

    def loss(ops: Any, x: Any, g: Any) -> Any:
        return ops.sum(ops.watch("largest", ops.max_pool(ops.watch("computed", x), 3, 2, 1)) * g)

    found = analyse(record(loss, {"x": (1, 1, 3), "g": (1, 1, 2)}, ("x",)), inputs, format)
    assert found["value", "largest"].enclosure.high.tolist() == [[[-1.0, -1.0]]]
    assert found["gradient", "x"].enclosure.high.tolist() == [[[0.0, 2.0, 0.0]]]
    assert all(np.isfinite(output.worst).all() for output in found.values())
