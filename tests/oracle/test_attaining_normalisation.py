"""Normalisation in one pass, distributed, and backwards in one formula: the rule R41 of docs/math.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record
from gradcheck.oracle.operations import Operation
from gradcheck.oracle.operations.base import same_variance
from gradcheck.oracle.operations.forms import fused
from gradcheck.oracle.operations.normalisation import Normalisation
from tests.oracle.attaining import NORMAL, SINGLE, U, share, step

EPSILON = np.float32(2.0**-10)
ROW = Normalisation((-1,), 3)


def operation(worst: Any, sums: Any = None) -> Operation:
    return fused("form", worst, same_variance, lambda *_: (), sums)


def one_pass(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance as E[x²] − m², in float32."""
    n = np.float32(x.shape[-1])
    m = np.sum(x, axis=-1, keepdims=True) / n
    return m, np.sum(x * x, axis=-1, keepdims=True) / n - m * m


def two_passes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = np.float32(x.shape[-1])
    m = np.sum(x, axis=-1, keepdims=True) / n
    return m, np.sum((x - m) * (x - m), axis=-1, keepdims=True) / n


def kernel(x: Any, w: Any, b: Any, g: Any, m: Any, variance: Any) -> dict[str, np.ndarray]:
    """x·s + (b − m·s), and PyTorch's gradient: a·h + b·x + c with the sums of h and h·x."""
    n, r = np.float32(x.shape[-1]), 1 / np.sqrt(variance + EPSILON)
    s, h = r * w, g * w
    slope = (np.sum(h, axis=-1, keepdims=True) * m - np.sum(h * x, axis=-1, keepdims=True)) * r * r * r / n
    shift = -slope * m - np.sum(h, axis=-1, keepdims=True) * r / n
    found = {"y": x * s + (b - m * s), "x": r * h + slope * x + shift}
    found |= {"w": np.sum(g * (x * r + -m * r), axis=0), "b": np.sum(g, axis=0)}
    assert all(each.dtype == np.float32 for each in found.values())
    return found


@pytest.mark.parametrize("moments", [one_pass, two_passes])
@pytest.mark.parametrize("offset", [0.0, 20.0])
def test_fused_kernels_stay_within_the_bounds_and_near_the_typical_error(moments: Any, offset: float) -> None:
    def loss(ops: Any, x: Any, w: Any, b: Any, c: Any) -> Any:
        return ops.sum(ops.watch("y", ops.layer_norm(x, w, b, epsilon=float(EPSILON))) * c)

    rng = np.random.default_rng(0)
    shapes = {"x": (8, 40), "w": (40,), "b": (40,), "c": (8, 40)}
    inputs = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    inputs["x"] += np.float32(offset)
    truth = analyse(record(loss, shapes, ("x", "w", "b")), inputs, SINGLE)
    for name, answer in kernel(*inputs.values(), *moments(inputs["x"])).items():
        output = truth["value" if name == "y" else "gradient", name]
        error = np.abs(output.enclosure.distance(answer))
        assert np.all(error <= output.worst), name
        assert np.all(error < 8 * output.spread), name


def test_terms_of_a_value_may_be_added_in_another_order() -> None:
    y, x, m, r, w, b = 2.5e3, 1e3, -1e3, 0.5, 2.5, -4e3 + 4e3
    found = step(operation(ROW.value_worst), [[y], [x], [m], [r], [w], [b + 1e4]])
    answer = y + ((1 + U) ** 4 - 1) * ((x + abs(m)) * r * w + 1e4)
    assert 0.99 < share([answer], found) <= 1


def test_terms_of_a_gradient_may_be_added_in_another_order() -> None:
    """m·Σh − Σhx for a large mean: the sums are off by n roundings, and are multiplied by r³x."""
    h, x, r = np.array([[1.0, -2.0, 1.5]]), 1e3 + np.array([[0.5, -1.0, 2.0]]), np.array([[0.75]])
    m, n = np.mean(x, axis=-1, keepdims=True), 3
    normal = (x - m) * r
    right = r * (h - np.mean(h) - normal * np.mean(h * normal))
    found = step(operation(ROW.gradient_worst, ROW.gradient_sums), [right, h, x, m, r])
    off = (1 + U) ** (2 * n + 8) - 1
    slope = (m * np.sum(np.abs(h)) + np.sum(np.abs(h) * x)) * r**3 / n * off
    answer = right + slope * (x + m)
    assert 0.2 < share(answer, found) <= 1


def test_the_cube_of_a_reciprocal_deviation_may_underflow() -> None:
    h, x, m = np.array([[1.0, -2.0, 1.5]]), np.array([[1e13, -3e12, 2e12]]), np.array([[3e12]])
    r = np.array([[1.8e-13]])
    assert r**3 < NORMAL
    normal = (x - m) * r
    right = r * (h - np.mean(h) - normal * np.mean(h * normal))
    answer = r * (h - np.mean(h))
    typical = step(fused("form", ROW.gradient_worst, ROW.gradient_variance, lambda *_: ()), [right, h, x, m, r])
    assert np.all(np.abs(answer - right) < 8 * np.sqrt(typical.variance))
    flushing = Format.of("float32", flushes=True)
    found = step(operation(ROW.gradient_worst), [right, h, x, m, r], format=flushing)
    assert 0.003 < share(answer, found) <= 1
    assert np.all(step(operation(ROW.gradient_worst), [right, h, x * 1e-9, m * 1e-9, r * 1e9]).worst < 1e-7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("word", ["layer_norm", "rms_norm", "batch_norm"])
def test_gradients_are_those_of_the_steps(word: str, dtype: str) -> None:
    def joined(ops: Any, x: Any, w: Any, c: Any) -> Any:
        return ops.sum(c * getattr(ops, word)(x, w))

    def written(ops: Any, x: Any, w: Any, c: Any) -> Any:
        axes = (0, 2) if word == "batch_norm" else -1
        centred = x if word == "rms_norm" else x - ops.mean(x, axes, keepdims=True)
        normal = centred * ops.rsqrt(ops.mean(centred * centred, axes, keepdims=True) + 1e-5)
        return ops.sum(c * (normal * (w[:, None] if word == "batch_norm" else w)))

    rng = np.random.default_rng(0)
    shapes = {"x": (3, 4, 4), "w": (4,), "c": (3, 4, 4)}
    inputs = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    found, right = (analyse(record(loss, shapes, ("x", "w")), inputs, Format.of(dtype)) for loss in (joined, written))
    for key, output in found.items():
        assert np.allclose(output.enclosure.high, right[key].enclosure.high, rtol=1e-12, atol=1e-13), key
        assert np.all(output.worst >= 0.99 * right[key].worst), key


def test_the_cube_of_a_reciprocal_deviation_may_overflow() -> None:
    h, x, m, r = np.array([[1.0, -2.0, 1.5]]), np.array([[1e-14, -3e-14, 2e-14]]), np.array([[0.0]]), np.array([[1e13]])
    right = r * (h - np.mean(h) - x * r * np.mean(h * x * r))
    found = step(operation(ROW.gradient_worst, ROW.gradient_sums), [right, h, x, m, r])
    assert np.all(np.isinf(found.worst))
