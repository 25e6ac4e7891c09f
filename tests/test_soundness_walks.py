"""The basis of a verdict: any association, recomputation, variation, zeros by cancellation, the stated power.

docs/math.md, W6 to W12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.judging import judge
from gradcheck.oracle import Format, Key, Tape, record
from gradcheck.problems import cases
from gradcheck.results import Verdict
from tests.recorded import record_tape
from tests.variants import left_to_right

DTYPES = ["float64", "float32"]
Arrays = Mapping[str, np.ndarray]


def known(loss: Callable[..., Any], inputs: Arrays, wrt: tuple[str, ...], format: Format) -> judge.Truth:
    return judge.truth(record(loss, {name: array.shape for name, array in inputs.items()}, wrt), inputs, format)


# Recomputation and association.


def weighted_squares(ops: Any, C: Any, z: Any, x: Any) -> Any:
    h = ops.watch("h", z @ x)
    return ops.sum(C * h * h)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_watched_value_may_be_computed_again_in_another_order(dtype: str) -> None:
    remarked = 0
    for seed in range(30):
        generator = np.random.default_rng(seed)
        shapes = {"C": (8,), "z": (8, 64), "x": (64,)}
        inputs = {name: generator.uniform(-1, 1, shape).astype(dtype) for name, shape in shapes.items()}
        C, z, x = inputs.values()
        h, again = z @ x, left_to_right(z * x)
        dh = 2 * C * again
        gradients = {"C": again * again, "z": np.outer(dh, x), "x": z.T @ dh}
        answer = BackendAnswer(np.sum(C * h * h), gradients, {"h": h}, {"h": dh})
        truth = known(weighted_squares, inputs, tuple(inputs), Format.of(dtype))
        for gate in ("rounding", "proved"):
            judged = judge.judge(answer, truth, gate)
            assert judged.verdict is Verdict.AGREES
        remarked += "not follow from the arrays given beside" in " ".join(judged.remarks)
    assert remarked > 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_may_be_distributed_over_the_sum_in_an_adjoint(dtype: str) -> None:
    """Σᵢ(dᵢv), one sample at a time, where the tape has (Σdᵢ)v, and dᵢ that cancel."""

    def loss(ops: Any, D: Any, v: Any, w: Any) -> Any:
        h = ops.watch("h", w * v)
        return ops.sum(D * h)

    for seed in range(30):
        generator = np.random.default_rng(seed)
        D = generator.uniform(-1, 1, (50, 8))
        D[1::2] = -D[::2] * (1 + 1e-4 * generator.uniform(-1, 1, (25, 8)))
        inputs = {"D": D.astype(dtype), "v": generator.uniform(-1, 1, 8).astype(dtype), "w": np.ones(8, dtype)}
        D, v, w = inputs.values()
        dw = left_to_right((D * v).T)
        answer = BackendAnswer(np.sum(D * (w * v)), {"w": dw}, {"h": w * v}, {"h": D.sum(axis=0)})
        assert judge.judge(answer, known(loss, inputs, ("w",), Format.of(dtype)), "rounding").verdict is Verdict.AGREES


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_may_be_distributed_over_two_parts_of_an_adjoint_that_cancel(dtype: str) -> None:
    """Each part goes through three products of its own: its roundings are relative to the part, not to what is left."""

    def loss(ops: Any, p: Any, q: Any, r: Any, s: Any, v: Any, y: Any, z: Any, w: Any) -> Any:
        h = w * z * y * v
        return ops.sum(p * (q * h)) + ops.sum(r * (s * h))

    generator = np.random.default_rng(0)
    given = {name: generator.uniform(0.5, 1, 4096) for name in "pqrsvyzw"}
    given["s"] = -given["p"] * given["q"] / given["r"] * (1 + 1e-6 * generator.uniform(-1, 1, 4096))
    inputs = {name: array.astype(dtype) for name, array in given.items()}
    p, q, r, s, v, y, z, _ = inputs.values()
    gradient = p * q * v * y * z + r * s * v * y * z
    output = known(loss, inputs, ("w",), Format.of(dtype)).analysis["gradient", "w"]
    reached = np.max(np.abs(output.enclosure.distance(gradient)) / output.worst)
    assert 0.3 < reached < 1


def test_a_failed_step_is_evidence_not_a_proof() -> None:
    """Its error is large, but within the worst error of a correct backend."""
    generator = np.random.default_rng(0)
    inputs = {"C": np.ones(8, "float32"), "z": generator.uniform(0, 1, (8, 4096)).astype("float32")}
    inputs["x"] = generator.uniform(0, 1, 4096).astype("float32")
    truth = known(weighted_squares, inputs, ("C",), Format.of("float32"))
    h = (inputs["z"] @ inputs["x"]).astype("float32")
    output = truth.analysis["gradient", "C"]
    off = (h * h + np.sqrt(40 * output.spread * output.worst)).astype("float32")
    assert np.all(abs(output.enclosure.distance(off)) < output.worst)
    answer = BackendAnswer(np.sum(h * h), {"C": off}, {"h": h}, {"h": 2 * h})
    judged = judge.judge(answer, truth, "rounding")
    assert (judged.verdict, judged.evidence) == (Verdict.DIFFERS, judge.BEYOND_ROUNDING)
    assert [(step.kind, step.name) for step in judged.wrong_steps] == [("gradient", "C")]
    judged = judge.judge(answer, truth, "proved")
    assert judged.verdict is Verdict.UNDECIDED
    assert (
        judged.reason == "dL/dC does not follow from the arrays given beside it in 8 of 8 entries, which proves nothing"
    )


# Variations.


def test_a_variation_within_the_bound_is_not_a_proof() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1, 4096).astype("float32")
    inputs = {"a": np.ones((), "float32"), "x": x}
    truth = known(lambda ops, a, x: ops.sum(a * x), inputs, ("a",), Format.of("float32"))
    output = truth.analysis["gradient", "a"]
    right = output.enclosure.high.astype("float32")
    for varies, evidence in ((70 * output.spread, judge.BEYOND_ROUNDING), (2.1 * output.worst, judge.PROVED)):
        answer = BackendAnswer(loss=right, gradients={"a": right}, varies={("gradient", "a"): float(varies)})
        judged = judge.judge(answer, truth, "rounding")
        assert (judged.verdict, judged.evidence) == (Verdict.DIFFERS, evidence)
        assert "varies from call to call" in judged.reason


# Zeros by cancellation.


def normalised(ops: Any, X: Any, b: Any, G: Any) -> Any:
    """A bias before a normalisation over the batch: its gradient is zero."""
    Y = X + b
    centred = Y - ops.mean(Y, axis=0)
    return ops.sum(G * centred / ops.sqrt(ops.mean(centred * centred, axis=0) + 1e-5))


def keys(ops: Any, Q: Any, K: Any, b: Any, V: Any) -> Any:
    """The bias of attention's keys: softmax does not see it."""
    return ops.sum((ops.softmax(Q @ ops.matrix_transpose(K + b), axis=1) @ V) ** 2)


def single(ops: Any, x: Any, scale: Any, G: Any) -> Any:
    """A normalisation over one feature, which is zero."""
    centred = x - ops.mean(x, axis=1, keepdims=True)
    return ops.sum(G * scale * centred / ops.sqrt(ops.mean(centred * centred, axis=1, keepdims=True) + 1e-5))


def alone(ops: Any, b: Any) -> Any:
    """A log-sum-exp of one entry near zero: the logarithm of a number near 1."""
    return ops.sum(ops.logsumexp(b * 1e-20, axis=1) ** 2)


ZEROS = {
    "log-sum-exp of one entry": (alone, {"b": (4, 1)}, "b"),
    "bias before a normalisation": (normalised, {"X": (16, 4), "b": (4,), "G": (16, 4)}, "b"),
    "bias of attention's keys": (keys, {"Q": (6, 4), "K": (6, 4), "b": (4,), "V": (6, 3)}, "b"),
    "normalisation of one feature": (single, {"x": (8, 1), "scale": (1,), "G": (8, 1)}, "scale"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ZEROS)
def test_a_gradient_that_is_zero_since_terms_cancel_agrees_by_the_size_of_its_terms(name: str, dtype: str) -> None:
    loss, shapes, zero = ZEROS[name]
    generator = np.random.default_rng(0)
    inputs = {each: generator.uniform(-1, 1, shape).astype(dtype) for each, shape in shapes.items()}
    truth = known(loss, inputs, (zero,), Format.of(dtype))
    right = evaluate(truth.tape, inputs, np.dtype(dtype))
    assert judge.judge(right, truth, "rounding").verdict is Verdict.AGREES
    wrong = replace(right, gradients={zero: right.gradients[zero] + np.dtype(dtype).type(1e-2)})
    assert judge.judge(wrong, truth, "rounding").verdict is Verdict.DIFFERS


def huber(ops: Any, X: Any, w: Any, y: Any) -> Any:
    r = X @ w - y
    a = ops.abs(r)
    return ops.sum(ops.where(a > 2.25, 2.25 * (a - 1.125), 0.5 * r * r))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("weight", "size"), [(0.0, 1), (1.0, 1), (-4.0, 1), (1.0, 3)])
def test_the_gradient_of_a_fit_without_residuals_agrees(weight: float, size: int, dtype: str) -> None:
    """r = 0 by cancellation, and the tie of abs is in the branch that is not taken; X of one entry scales r."""
    inputs = {"X": np.ones((size, size)), "w": np.full(size, weight), "y": np.full(size, size * weight)}
    inputs = {name: array.astype(dtype) for name, array in inputs.items()}
    truth = known(huber, inputs, ("w",), Format.of(dtype))
    assert truth.analysis.ties
    right = evaluate(truth.tape, inputs, np.dtype(dtype))
    assert judge.judge(right, truth, "rounding").verdict is Verdict.AGREES
    wrong = replace(right, gradients={"w": right.gradients["w"] + np.dtype(dtype).type(1e-4)})
    assert judge.judge(wrong, truth, "rounding").verdict is Verdict.DIFFERS


@pytest.mark.parametrize("dtype", DTYPES)
def test_power_excludes_entries_that_may_be_zero(dtype: str) -> None:
    """The first seven entries are zeros by cancellation, of which our own middles are noise."""

    def loss(ops: Any, a: Any, c: Any) -> Any:
        return ops.sum(0.3 * ops.softmax(a[:7])) + ops.sum(c * a[7:])

    generator = np.random.default_rng(0)
    inputs = {"a": generator.uniform(size=10).astype(dtype), "c": generator.uniform(1, 2, 3).astype(dtype)}
    truth = known(loss, inputs, ("a",), Format.of(dtype))
    assert np.any(truth.analysis["gradient", "a"].enclosure.high[:7] != 0)
    judged = judge.judge(evaluate(truth.tape, inputs, np.dtype(dtype)), truth, "rounding")
    assert judged.errors["a"].power.percentile_99 < 100 * np.finfo(dtype).eps


def test_a_loss_that_cancels_keeps_no_verdict_of_a_gradient_from_being_reached() -> None:
    generator = np.random.default_rng(0)
    inputs = {"a": cases.round_to(generator.normal(size=4096), "bfloat16"), "b": np.zeros(4096, "float32")}
    inputs["b"] = cases.round_to(generator.normal(size=4096), "bfloat16")
    truth = known(lambda ops, a, b: ops.sum(a * b), inputs, ("a",), Format.of("bfloat16", accumulator="float32"))
    loss = cases.round_to(np.asarray(truth.analysis["loss", None].enclosure.high), "bfloat16")
    judged = judge.judge(BackendAnswer(loss=loss, gradients={"a": inputs["b"]}), truth, "rounding")
    assert judged.verdict is Verdict.AGREES


# Bounds that grow, and overflow.


def recurrent(steps: int) -> Callable[..., Any]:
    def loss(ops: Any, W: Any, x: Any) -> Any:
        state = ops.tanh(x[0])
        for step in range(1, steps):
            state = ops.tanh(W @ state + x[step])
        return ops.sum(state * state)

    return loss


def run(steps: int, units: int, scale: float, dtype: str) -> judge.Judgement:
    generator = np.random.default_rng(0)
    W = scale * generator.normal(size=(units, units)) / np.sqrt(units)
    inputs = {"W": W.astype(dtype), "x": generator.normal(size=(steps, units)).astype(dtype)}
    truth = known(recurrent(steps), inputs, ("W",), Format.of(dtype))
    return judge.judge(evaluate(truth.tape, inputs, np.dtype(dtype)), truth, "rounding")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_hundred_steps_of_a_recurrent_network_are_judged_without_watched_states(dtype: str) -> None:
    judged = run(100, 32, 1.0, dtype)
    assert judged.verdict is Verdict.AGREES
    assert judged.errors["W"].power.percentile_99 < 1e-1


def test_a_chaotic_network_is_undecided_since_its_bound_grew_and_not_by_overflow() -> None:
    judged = run(100, 16, 4.0, "float32")
    assert judged.verdict is Verdict.UNDECIDED
    assert "bound" in judged.reason
    assert "overflow" not in judged.reason
    assert "undefined" not in judged.reason


def test_a_root_near_zero_is_not_an_overflow() -> None:
    inputs = {"a": np.array([1.0 + 2.0**-22], "float32"), "b": np.array([1.0], "float32")}
    truth = known(lambda ops, a, b: ops.sum(ops.sqrt(ops.exp(a) - ops.exp(b))), inputs, ("a",), Format.of("float32"))
    judged = judge.judge(evaluate(truth.tape, inputs, np.dtype("float32")), truth, "rounding")
    assert judged.verdict is Verdict.UNDECIDED
    assert judged.reason == "dL/da cannot be judged: its bound grew too wide, in sqrt"


# The stated power.


def evaluate(
    tape: Tape, inputs: Arrays, dtype: np.dtype, planted: Key | None = None, factor: float = 1.0
) -> BackendAnswer:
    """The tape's own operations in a dtype: a correct answer, or one with a factor at one step, which is passed on."""
    results: list[np.ndarray] = []
    at = None if planted is None else tape.outputs[planted]
    for index, node in enumerate(tape.nodes):
        if node.operation is None:
            result = np.asarray(inputs[node.name])
        else:
            result = np.asarray(node.operation.value(*(results[operand] for operand in node.operands)))
        if result.dtype != bool:
            result = result.astype(dtype)
        results.append((result * dtype.type(factor)).astype(dtype) if index == at else result)
    arrays = {key: results[index] for key, index in tape.outputs.items()}
    groups = {kind: {n: a for (of, n), a in arrays.items() if of == kind} for kind in ("gradient", "value", "adjoint")}
    return BackendAnswer(arrays["loss", None], groups["gradient"], groups["value"], groups["adjoint"])


@cache
def shipped(name: str, dtype: str) -> tuple[judge.Truth, judge.Judgement, Arrays]:
    """The analysis of a problem, the judgement of a correct answer, and its gradients in float64."""
    problem = problems.load(name)
    case = cases.sample(problem, 6, 0, dtype, "uniform")
    truth = judge.truth(record_tape(problem, 6), case.inputs, Format.of(dtype))
    clean = judge.judge(evaluate(truth.tape, truth.inputs, np.dtype(dtype)), truth, "rounding")
    assert clean.verdict is Verdict.AGREES, clean.reason
    return truth, clean, evaluate(truth.tape, truth.inputs, np.dtype("float64")).gradients


def sensitivity(truth: judge.Truth, step: Key, exact: Arrays) -> dict[str, float]:
    """The median change of each gradient's entries with the entries of a step; both relative."""
    moved = evaluate(truth.tape, truth.inputs, np.dtype("float64"), step, 1 + 2.0**-20).gradients
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: float(np.median(np.abs(moved[name] / exact[name] - 1)) * 2.0**20) for name in exact}


LARGE = ("gpt2_block", "rope_swiglu", "selective_scan")
"""Problems of so many steps that the next test takes a minute for them."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", problems.names())
def test_the_stated_power_holds_for_an_error_of_any_step_that_is_passed_on(
    name: str, dtype: str, request: pytest.FixtureRequest
) -> None:
    """The error of the step is so large that half of a gradient's entries have twice the stated error."""
    if name in LARGE and not request.config.getoption("--thorough"):
        pytest.skip("only with --thorough: it takes a minute")
    truth, clean, exact = shipped(name, dtype)
    planted = 0
    for step in truth.tape.outputs:
        for gradient, moves in sensitivity(truth, step, exact).items():
            size = 2 * clean.errors[gradient].power.percentile_99 / moves if moves > 1e-6 else np.inf
            if size < 0.1:  # the gradient is linear in it
                wrong = evaluate(truth.tape, truth.inputs, np.dtype(dtype), step, 1 + size)
                assert judge.judge(wrong, truth, "rounding").verdict is Verdict.DIFFERS, (step, gradient)
                planted += 1
    assert planted >= len(exact)
