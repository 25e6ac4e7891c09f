"""Forms of second derivatives that engines have, against their bounds (docs/math.md, R39)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck import graphs
from gradcheck.oracle import tape_of
from gradcheck.oracle.analysis import analyse
from tests.oracle.attaining import SINGLE

single = np.float32
ONES = single(1)


def products(loss: Callable[..., Any], a: np.ndarray, direction: np.ndarray) -> Any:
    """The gradient of v·∇L, of a loss of one array in float32."""
    graph = graphs.record(loss, {"a": a.shape}).along(("a",))
    inputs = {"a": a, "direction[a]": direction}
    return analyse(tape_of(graph, ("a",)), inputs, SINGLE)["gradient", "a"]


def share(answer: np.ndarray, output: Any) -> float:
    """The largest error as a share of the bound."""
    return float(np.max(np.abs(output.enclosure.distance(answer)) / output.worst))


FORMS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[np.ndarray, np.ndarray], np.ndarray], float, float, float]]
FORMS = {
    # name -> the loss, the second derivative times v as an engine has it, the ends of the inputs, the least share
    "tanh, by (1 − t)(1 + t)": (
        lambda ops, a: ops.sum(ops.tanh(a)),
        lambda a, v: tanh_as_jax(a, v),
        *(1e-4, 0.5),
        0.1,
    ),
    "sigmoid, by (1 − s) − s": (
        lambda ops, a: ops.sum(ops.sigmoid(a)),
        lambda a, v: sigmoid_as_jax(a, v),
        *(1e-4, 0.5),
        0.05,
    ),
    "atanh, by 1/((1 − a)(1 + a))": (
        lambda ops, a: ops.sum(ops.atanh(a)),
        lambda a, v: atanh_as_jax(a, v),
        *(1e-4, 0.5),
        0.1,
    ),
    "1/a, by −1/(a·a)": (
        lambda ops, a: ops.sum(1.0 / a),
        lambda a, v: v / (a * a) / (a * a) * (a + a),
        *(0.5, 4.0),
        0.1,
    ),
}


def tanh_as_jax(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The derivatives of (g + g·t)(1 − t) along t, added up, times that of t."""
    t = np.tanh(a.astype(float)).astype(single)
    along = v * (ONES - t) - (v + v * t)
    return (along + along * t) * (ONES - t)


def sigmoid_as_jax(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The same of (g·s)(1 − s)."""
    s = (1 / (1 + np.exp(-a.astype(float)))).astype(single)
    along = v * (ONES - s) - v * s
    return along * s * (ONES - s)


def atanh_as_jax(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The same of g/((1 − a)(1 + a)), a difference of two quotients."""
    p, q = ONES / (ONES - a), ONES / (ONES + a)
    return v * (p * p * q - p * (q * q))


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_a_second_derivative_is_within_its_bound(name: str) -> None:
    loss, form, low, high, least = FORMS[name]
    a = np.linspace(low, high, 20_001, dtype=single)
    v = np.random.default_rng(0).uniform(0.5, 1, a.shape).astype(single)
    assert least < share(form(a, v), products(loss, a, v)) <= 1


def test_the_derivative_of_a_sign_may_have_the_rounding_of_a_quotient() -> None:
    """autograd has |a|′ as a/|a|, whose own derivative is 1/|a| − a·a/|a|³: zero but for its rounding."""
    a = np.linspace(-4, -0.1, 20_001, dtype=single)
    v = np.random.default_rng(0).uniform(0.5, 1, a.shape).astype(single)
    size = np.abs(a)
    rounded = v / size - (v * a / (size * size)) * (a / size)
    output = products(lambda ops, a: ops.sum(ops.abs(a)), a, v)
    assert np.all(output.enclosure.high == 0)
    assert 0.05 < share(rounded, output) <= 1
    assert share(v / size * single(1e-5), output) > 1


def test_entries_near_an_open_order_follow_either() -> None:
    """A product of sorted entries, two of which a program may order in either way."""
    a = np.array([1.0, 1.0, 3.0], single)
    weights = np.array([1.0, 2.0, 4.0])
    v = np.array([0.5, 1.0, 0.75], single)
    output = products(lambda ops, a: ops.sum(ops.sort(a) ** 2 * weights), a, v)
    bound = output.worst + output.enclosure.radius
    for order in ([2, 4, 8], [4, 2, 8]):
        assert np.all(np.abs(output.enclosure.distance((order * v).astype(single))) <= bound)
    assert bound[2] < 1e-5


def test_an_order_that_rounding_leaves_open_is_either() -> None:
    """Two entries one spacing apart after two roundings each: the weights' products follow either order."""

    def loss(ops: Any, a: Any, w: Any) -> Any:
        return ops.sum(ops.sort((a * 1.1) * 1.1) * w)

    graph = graphs.record(loss, {"a": (3,), "w": (3,)}).along(("a", "w"))
    a, w = np.array([1.0, 1.0 + 2.0**-23, 3.0], single), np.ones(3, single)
    v = np.array([0.5, 1.0, 0.75], single)
    inputs = {"a": a, "w": w, "direction[a]": v, "direction[w]": np.zeros(3, single)}
    output = analyse(tape_of(graph, ("a", "w")), inputs, SINGLE)["gradient", "w"]
    for order in ([0, 1, 2], [1, 0, 2]):
        answer = (v[order].astype(float) * 1.21).astype(single)
        assert np.all(np.abs(output.enclosure.distance(answer)) <= output.worst + output.enclosure.radius)
    assert output.worst[2] < 1e-5
