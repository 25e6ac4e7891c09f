"""Attention by running maxima, with a stored logsumexp, and backwards from it: the rule R40 of docs/math.md."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradcheck.graphs import record as graph_of
from gradcheck.judging import judge
from gradcheck.oracle import Format, analyse, record, tape_of
from gradcheck.oracle.balls import walk
from gradcheck.oracle.operations.attention import ScaledProduct, Weights
from gradcheck.oracle.operations.forms import fused
from tests.oracle.attaining import SINGLE, U, share, step
from tests.oracle.test_enclosures import outside

WEIGHTS = Weights(-1, True).operation()


def online(scores: np.ndarray, values: np.ndarray, block: int, late: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Attention in float32 with a running maximum (FlashAttention-2, algorithm 1), and the logsumexp of each query.

    Args:
        scores: (queries, keys).
        values: (keys, features).
        block: of so many keys.
        late: whether the sum of exponentials divides the result, or each block's share of it.
    """
    f = np.float32
    top = np.full((len(scores), 1), -np.inf, f)
    total = np.zeros((len(scores), 1), f)
    result = np.zeros((len(scores), values.shape[1]), f)
    for start in range(0, scores.shape[1], block):
        part = scores[:, start : start + block]
        new = np.maximum(top, part.max(axis=1, keepdims=True))
        rescale, weights = np.exp(top - new), np.exp(part - new)
        before, total = total * rescale, total * rescale
        for column in weights.T:
            total = total + column[:, None]
        old = result * rescale if late else result * (before / total)
        for column, value in zip(weights.T, values[start : start + block]):
            old = old + (column[:, None] if late else column[:, None] / total) * value
        top, result = new, old
    assert result.dtype == total.dtype == f
    return (result / total if late else result), top + np.log(total)


def backward(q: Any, k: Any, v: Any, g: Any, o: Any, lse: Any, scale: np.float32) -> dict[str, Any]:
    """FlashAttention-2, algorithm 2, of all keys at once: shares from the logsumexp, D from the output."""
    shares = np.exp(scale * (q @ k.T) - lse)
    change = g @ v.T
    scores = shares * (change - np.sum(g * o, axis=1, keepdims=True))
    return {"q": scale * (scores @ k), "k": scale * (scores.T @ q), "v": shares.T @ g}


def attention(ops: Any, q: Any, k: Any, v: Any, c: Any) -> Any:
    return ops.sum(ops.watch("o", ops.scaled_dot_product_attention(q, k, v)) * c)


def drawn(seed: int, keys: int = 48, size: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"q": (16, 8), "k": (keys, 8), "v": (keys, 8), "c": (16, 8)}
    return {name: (size * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}


def known(inputs: dict[str, np.ndarray]) -> Any:
    shapes = {name: array.shape for name, array in inputs.items()}
    return analyse(record(attention, shapes, ("q", "k", "v")), inputs, SINGLE)


@pytest.mark.parametrize("block", [1, 5, 48])
@pytest.mark.parametrize("size", [0.3, 3.0])
def test_fused_kernels_stay_within_the_bounds_and_near_the_typical_error(block: int, size: float) -> None:
    for seed in range(4):
        inputs = drawn(seed, size=size)
        q, k, v, g = inputs.values()
        scale, truth = np.float32(1 / math.sqrt(8)), known(inputs)
        o, lse = online(scale * (q @ k.T), v, block, late=seed % 2 == 0)
        answers = {"o": o, **backward(q, k, v, g, o, lse, scale)}
        for name, answer in answers.items():
            output = truth["value" if name == "o" else "gradient", name]
            error = np.abs(output.enclosure.distance(answer))
            assert np.all(error <= output.worst), name
            assert np.all(error < 8 * output.spread), name
            assert np.max(error / output.spread) > 0.1, name


def test_each_new_maximum_may_round_all_shares_before_it_in_the_same_way() -> None:
    """The difference of two numbers near 1000 is exact: only e^d and its products are rounded, each down."""
    keys = 200
    steps = np.float32(1e-4) * np.arange(1, keys + 1, dtype=np.float32)
    scores = np.cumsum(np.full(keys, steps[0]), dtype=np.float32)[None]
    found = step(WEIGHTS, [scores.astype(np.float64)])
    down = np.float32(np.exp(-1e-4))
    weights = np.ones(keys)
    for key in range(1, keys):
        weights[:key] *= float(down) * (1 - 7 * U)  # exp's 6 u and a product, while the sum's are rounded up
    answer = weights / np.sum(weights * (1 + U * np.arange(keys)[::-1]))
    assert 0.1 < share(answer[None], found) <= 1


def test_a_logsumexp_of_large_scores_rounds_the_shares_made_from_it() -> None:
    """Each score is rounded where powers of two replace those of e, for the sum and for the shares."""
    scores = np.array([[1e5, 1e5 - 1.0]])
    lse = 1e5 + math.log1p(math.exp(-1.0))
    found = step(WEIGHTS, [scores])
    stored = np.exp(scores - float(np.float32(lse)))
    assert share(stored, found) > 0.04
    assert 0.95 < share(np.exp(scores * (1 + U) - lse * (1 - U) ** 2), found) <= 1


def test_a_share_may_exceed_one_if_its_logsumexp_is_that_of_other_scores() -> None:
    found = step(WEIGHTS, [[[40.0, 0.0]]], errors=[[[1e-3, 1e-3]]])
    assert 0.98 < share([[math.exp(2e-3), math.exp(-40)]], found) <= 1
    together = step(Weights(-1, False).operation(), [[[40.0, 0.0]]], errors=[[[1e-3, 1e-3]]])
    assert together.worst[0, 0] < 2e-5


def test_exponentials_of_twenty_ulp_are_allowed() -> None:
    scores = np.array([[0.0, 3.0]])
    found = step(WEIGHTS, [scores])
    weights = np.exp(scores) * [1 + 40 * U, 1 - 40 * U]
    assert 0.5 < share(weights / np.sum(weights), found) <= 1


def test_a_share_is_no_larger_than_its_exponential() -> None:
    """Its distance is rounded too, relative to itself, which alone would allow for e⁷⁰⁰."""
    inputs = {name: np.ones((1, 1)) for name in "qc"} | {"k": np.array([[0.0], [-1e18]]), "v": np.ones((2, 1))}
    shapes = {name: array.shape for name, array in inputs.items()}
    truth = analyse(record(attention, shapes, ("v",)), inputs, Format.of("float64"))
    assert truth["gradient", "v"].worst[1, 0] < 1e-300


def test_scale_may_be_rounded_in_each_factor() -> None:
    a, b, c = np.full((1, 4), 1.5), np.full((3, 4), 1.25), 0.3
    form = ScaledProduct("...ie,...je->...ij", 1)
    operation = fused("scaled product", form.worst, form.variance, lambda *_: ())
    found = step(operation, [c * (a @ b.T), a, b, np.array(c)])
    answer = c * (a @ b.T) * (1 + U) ** 6
    assert 0.99 < share(answer, found) <= 1
    tiny = step(operation, [np.zeros((1, 3)), np.full((1, 4), SINGLE.smallest), b, np.array(0.3)])
    assert 0.1 < share(np.full((1, 3), 0.3 * 4 * 1.25 * SINGLE.smallest), tiny) <= 1


def masked(ops: Any, q: Any, k: Any, v: Any, m: Any) -> Any:
    return ops.sum(ops.square(ops.scaled_dot_product_attention(q, k, v, mask=m, is_causal=True, scale=0.5)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_masked_shares_and_their_gradients_are_zero(dtype: str) -> None:
    def written(ops: Any, q: Any, k: Any, v: Any, m: Any) -> Any:
        scores = ops.where(m & (np.tri(4, 5) > 0), 0.5 * (q @ k.mT), -math.inf)
        return ops.sum(ops.square(ops.softmax(scores) @ v))

    rng = np.random.default_rng(0)
    shapes = {"q": (2, 4, 3), "k": (2, 5, 3), "v": (2, 5, 2), "m": (4, 5)}
    inputs = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    inputs["m"] = np.arange(20).reshape(4, 5) % 3 != 1
    tapes = [tape_of(graph_of(loss, shapes, {"m": "boolean"}), ("q", "k", "v")) for loss in (masked, written)]
    joined, plain = (analyse(tape, inputs, Format.of(dtype)) for tape in tapes)
    balls = walk(tapes[0], inputs, 200)
    for key, output in joined.items():
        assert np.allclose(output.enclosure.high, plain[key].enclosure.high, rtol=1e-12, atol=1e-14), key
        assert not outside(output.enclosure, balls[key]), key
        assert output.worst.max() >= plain[key].worst.max(), key
    assert np.all(joined["gradient", "k"].worst[:, -1] < {"float64": 1e-310, "float32": 1e-40}[dtype])


def test_the_output_that_is_stored_rounds_the_gradients() -> None:
    """Values that are large and alike, and keys of one sign: all keys of a query share the error of D."""
    rng = np.random.default_rng(0)
    inputs = drawn(1) | {"c": np.tile(np.float32([1, -1]), (16, 4))}
    inputs["v"], inputs["k"] = 1000 + inputs["v"] / 16, (1 + 0.1 * inputs["k"]).astype(np.float32)
    truth, exact = known(inputs), {name: array.astype(np.float64) for name, array in inputs.items()}
    q, k, v, g = exact.values()
    o, scale = truth["value", "o"].enclosure.high, 1 / math.sqrt(8)
    right = truth["gradient", "q"].enclosure.high
    lse = np.log(np.sum(np.exp(scale * (q @ k.T)), axis=1, keepdims=True))
    worst = backward(q, k, v, g, o + g * truth["value", "o"].worst, lse, scale)["q"]
    assert 0.7 < np.max(np.abs(worst - right) / truth["gradient", "q"].worst) <= 1
    noise = rng.normal(size=(200, 16, 8)) * truth["value", "o"].spread
    errors = np.array([backward(q, k, v, g, o + each, lse, scale)["q"] for each in noise])
    assert 0.5 < np.sqrt(np.mean(np.square((errors - right) / truth["gradient", "q"].spread))) < 1.1


@pytest.mark.parametrize("is_fused", [True, False])
def test_a_row_that_is_masked_as_a_whole_has_no_value(is_fused: bool) -> None:
    """PyTorch's attention gives zeros there, JAX's the mean of all values."""

    def loss(ops: Any, q: Any, k: Any, v: Any, m: Any) -> Any:
        if is_fused:
            return ops.sum(ops.scaled_dot_product_attention(q, k, v, mask=m) ** 2)
        return ops.sum((ops.softmax(ops.where(m, q @ k.T, -math.inf)) @ v) ** 2)

    random = np.random.default_rng(0)
    inputs = {name: random.uniform(-1, 1, (4, 3)) for name in "qkv"}
    for masked, undefined in ((False, None), (True, "softmax is undefined at -inf")):
        mask = np.tri(4, dtype=bool)
        mask[0] &= not masked
        given = {**inputs, "m": mask}
        graph = graph_of(loss, {name: each.shape for name, each in given.items()}, {"m": "boolean"})
        known = judge.truth(tape_of(graph, ("q", "k", "v")), given, Format.of("float64"))
        assert (known.undefined if masked else None) == undefined
        assert np.isfinite(known.analysis["gradient", "v"].worst).all() != masked
