"""Roundings that are not independent: equal terms, shared errors, recursions (docs/math.md, W2 to W4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.judging import judge
from gradcheck.oracle import Format, Output, analyse, record
from gradcheck.results import Verdict

DTYPES = ["float64", "float32"]


def loss_of(loss: Callable[..., Any], inputs: Mapping[str, np.ndarray], format: Format) -> Output:
    """The analysis of a loss."""
    tape = record(loss, {name: array.shape for name, array in inputs.items()}, tuple(inputs))
    return analyse(tape, inputs, format)["loss", None]


def in_deviations(got: Any, output: Output) -> float:
    """The error of an answer in standard deviations."""
    return float(abs(output.enclosure.distance(np.asarray(got))) / output.spread)


def root_mean_square(ratios: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(ratios))))


def in_order(terms: np.ndarray) -> np.ndarray:
    """A plain loop over the first axis."""
    return np.cumsum(terms, axis=0, dtype=terms.dtype)[-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("terms", [100, 1000, 10_000])
def test_the_plain_sum_of_equal_terms_attains_its_spread(dtype: str, terms: int) -> None:
    ratios = []
    for seed in range(30):
        equal = np.full(terms, np.random.default_rng(seed).uniform(1, 2), dtype)
        ratios.append(
            in_deviations(in_order(equal), loss_of(lambda ops, a: ops.sum(a), {"a": equal}, Format.of(dtype)))
        )
    assert 0.5 < root_mean_square(ratios) < 1.2
    assert max(ratios) < 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("words", [lambda ops, a, b: a @ b, lambda ops, a, b: ops.einsum("i,i->", a, b)])
def test_the_plain_product_of_equal_terms_attains_its_spread(words: Any, dtype: str, share: float) -> None:
    """Half of them may be zero, as a binary feature's are."""
    ratios = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        taken = (generator.random(4000) < share).astype(dtype)
        factors = np.full(4000, generator.uniform(1, 2), dtype)
        output = loss_of(words, {"a": taken, "b": factors}, Format.of(dtype))
        ratios.append(in_deviations(in_order(taken * factors), output))
    assert 0.4 < root_mean_square(ratios) < 1.2
    assert max(ratios) < 3


@pytest.mark.parametrize("terms", [1000, 100_000])
def test_the_check_of_unequal_terms_keeps_its_power(terms: int) -> None:
    drawn = np.random.default_rng(0).uniform(-1, 1, terms)
    for signed in (drawn, abs(drawn)):
        output = loss_of(lambda ops, a: ops.sum(a), {"a": signed}, Format.of("float64"))
        independent = 0.6 * 2.0**-53 * np.sqrt(terms / 2 * np.sum(signed**2) + terms / 3 * np.sum(signed) ** 2)
        assert output.spread < 1.15 * independent


def test_products_with_a_common_factor_share_its_error() -> None:
    """All terms have the same error of e^(zw): 256 independent errors would average to a sixteenth."""
    format = Format.of("bfloat16", accumulator="float32")
    ratios = []
    for seed in range(40):
        z, w = (rounded_to_bfloat16(each) for each in np.random.default_rng(seed).uniform([8, 1], [16, 2]))
        inputs = {"a": np.ones(256, "float32"), "b": np.ones(256, "float32"), "z": np.float32(z), "w": np.float32(w)}
        output = loss_of(lambda ops, a, b, z, w: a @ (b * ops.exp(z * w)), inputs, format)
        factor = rounded_to_bfloat16(np.exp(rounded_to_bfloat16(z * w)))
        ratios.append(in_deviations(256 * factor, output))
    assert 0.3 < root_mean_square(ratios) < 1.2


def rounded_to_bfloat16(value: float) -> float:
    fraction, exponent = np.frexp(value)
    return float(np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("terms", [25_000, 50_000])
def test_a_bias_under_a_mean_is_judged_by_a_sum_without_an_own_error(dtype: str, terms: int) -> None:
    generator = np.random.default_rng(0)
    inputs = {"X": generator.uniform(-1, 1, (terms, 4)).astype(dtype), "b": np.zeros(3, dtype)}
    inputs["W"] = generator.uniform(-1, 1, (4, 3)).astype(dtype)
    tape = record(lambda ops, X, b, W: ops.mean(X @ W + b), {name: a.shape for name, a in inputs.items()}, ("b",))
    truth = judge.truth(tape, inputs, Format.of(dtype))
    loss = truth.analysis["loss", None].enclosure.high.astype(dtype)
    looped = in_order(np.full((terms, 3), np.ones((), dtype) / np.asarray(3 * terms, dtype)))
    for gradient in (np.full(3, 1 / 3, dtype), looped):
        judged = judge.judge(BackendAnswer(loss=loss, gradients={"b": gradient}), truth, "rounding")
        assert judged.verdict is Verdict.AGREES
        assert judged.errors["b"].max_spread_ratio < 3


def chain(ops: Any, emissions: Any, transitions: Any) -> Any:
    """The log of a conditional random field's normaliser (Lafferty, McCallum and Pereira, 2001)."""
    forward = emissions[0]
    for step in range(1, emissions.shape[0]):
        forward = ops.logsumexp(transitions.T + forward, axis=1) + emissions[step]
    return ops.logsumexp(forward)


def log_sum_exp(a: np.ndarray, axis: int) -> np.ndarray:
    largest = np.max(a, axis=axis, keepdims=True)
    return np.squeeze(largest + np.log(np.sum(np.exp(a - largest), axis=axis, keepdims=True)), axis)


def marginals(emissions: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The normaliser and its gradient by the forward and backward recursions in log space (Rabiner 1989, III)."""
    forward, backward = emissions.copy(), np.zeros_like(emissions)
    for step in range(1, len(emissions)):
        forward[step] += log_sum_exp(forward[step - 1][:, None] + transitions, 0)
    for step in range(len(emissions) - 2, -1, -1):
        backward[step] = log_sum_exp(transitions + emissions[step + 1] + backward[step + 1], 1)
    normaliser = log_sum_exp(forward[-1], 0)
    return normaliser, np.exp(forward + backward - normaliser)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("steps", "states"), [(24, 4), (24, 24), (48, 5)])
def test_a_recursion_in_log_space_stays_within_a_few_deviations(dtype: str, steps: int, states: int) -> None:
    largest = []
    for seed in range(3):
        generator = np.random.default_rng(seed)
        emissions = (5 + 0.1 * generator.normal(size=(steps, states))).astype(dtype)
        transitions = generator.uniform(-1, 1, (states, states)).astype(dtype)
        inputs = {"emissions": emissions, "transitions": transitions}
        tape = record(chain, {name: array.shape for name, array in inputs.items()}, ("emissions",))
        analysis = analyse(tape, inputs, Format.of(dtype))
        normaliser, gradient = marginals(emissions, transitions)
        output = analysis["gradient", "emissions"]
        largest.append(float(np.max(abs(output.enclosure.distance(gradient)) / output.spread)))
        largest.append(in_deviations(normaliser, analysis["loss", None]))
    assert 0.2 < max(largest) < 4
