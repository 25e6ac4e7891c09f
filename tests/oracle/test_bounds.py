"""Correct answers stay within every bound, wrong ones do not, and the first stage that fails is the wrong one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck.oracle import DOUBT, Format, analyse, record, stages
from tests.oracle.answers import ANSWERS, DOTS, Answer, sigmoid_skip
from tests.oracle.problems import PROBLEMS, SIGMOID_SKIP
from tests.oracle.samples import DISTRIBUTIONS, sample

TAPES = {}


def tape_of(name, k):
    if (name, k) not in TAPES:
        problem = PROBLEMS[name]
        TAPES[name, k] = record(problem.loss, problem.inputs(k), problem.wrt)
    return TAPES[name, k]


def case(name, k, dtype, distribution, seed=0, dot=np.matmul):
    inputs = sample(distribution, PROBLEMS[name].inputs(k), dtype, seed)
    with np.errstate(all="ignore"):
        return tape_of(name, k), inputs, ANSWERS[name](dot, **inputs)


def bad_entries(tape, inputs, format, answer):
    """Key -> entries beyond the worst bound, entries beyond 32 s, compared entries."""
    result = {}
    for key, output in analyse(tape, inputs, format).items():
        got = answer[key]
        error = np.abs(output.enclosure.distance(got))
        proved = np.isfinite(output.worst) & ~(error <= output.worst + output.enclosure.radius)
        beyond = np.isfinite(output.spread) & ~(error <= DOUBT * output.spread + output.enclosure.radius)
        result[key] = int(proved.sum()), int(beyond.sum()), got.size
    return result


def failing_stages(tape, inputs, format, answer):
    found = []
    for stage in stages(tape, inputs, format, dict(answer.arrays())):
        beyond = np.isfinite(stage.spread) & (stage.error > DOUBT * stage.spread)
        found.append((stage.kind, stage.name, int(stage.fails.sum()), int(beyond.sum())))
    return [(kind, name) for kind, name, fails, beyond in found if fails or beyond], found


@pytest.mark.parametrize("dot", DOTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_correct_answers_are_never_refused(name, distribution, dtype, dot):
    for k in (1, 2, 5, 24):
        tape, inputs, answer = case(name, k, dtype, distribution, seed=k, dot=DOTS[dot])
        if not all(np.isfinite(array).all() for array in inputs.values()):
            continue
        format = Format.of(dtype)
        bad = {key: counts for key, counts in bad_entries(tape, inputs, format, answer).items() if any(counts[:2])}
        assert not bad
        assert failing_stages(tape, inputs, format, answer)[0] == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_correct_answers_of_a_larger_case_are_not_refused(name, dtype):
    tape, inputs, answer = case(name, 200, dtype, "unit scaled")
    assert not any(sum(counts[:2]) for counts in bad_entries(tape, inputs, Format.of(dtype), answer).values())
    assert failing_stages(tape, inputs, Format.of(dtype), answer)[0] == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_steps_of_inputs_from_the_walk_of_the_truth_have_the_same_bounds(name, distribution):
    tape, inputs, answer = case(name, 24, "float32", distribution)
    format, got = Format.of("float32"), dict(answer.arrays())
    known = analyse(tape, inputs, format).of_inputs
    assert known, "each problem has such a step"
    for mine, theirs in zip(stages(tape, inputs, format, got, known), stages(tape, inputs, format, got), strict=True):
        for each in ("expected", "bound", "spread"):
            assert np.array_equal(getattr(mine, each), getattr(theirs, each), equal_nan=True), (mine.kind, mine.name)


@np.errstate(all="ignore")
def planted(kind, name, inputs, factor):
    """A correct answer except for one entry, on which everything after it depends."""
    flipped = {}

    def change(step, array):
        if step == (kind, name):
            array = array.copy()
            at = np.unravel_index(np.argmax(np.abs(array)), array.shape)
            array[at] = array[at] * array.dtype.type(1 + factor)
            flipped[step] = True
        return array

    A, B, C, x = inputs.values()
    y = change(("value", "y"), A @ x)
    small = np.exp(-np.abs(y))
    u = change(("value", "u"), (np.where(y < 0, small, 1) / (1 + small)).astype(x.dtype))
    v = change(("value", "v"), B @ x)
    z = change(("value", "z"), u + v)
    w = change(("value", "w"), C @ z)
    dw = change(("adjoint", "w"), 2 * w)
    dz = change(("adjoint", "z"), C.T @ dw)
    dv = change(("adjoint", "v"), dz)
    du = change(("adjoint", "u"), dz)
    dy = change(("adjoint", "y"), du * u * (1 - u))
    loss = change(("loss", None), np.asarray((w * w).sum()))
    gradients = {"A": np.outer(dy, x), "B": np.outer(dv, x), "C": np.outer(dw, z)}
    gradients = {name: change(("gradient", name), array) for name, array in gradients.items()}
    assert flipped
    values = {"y": y, "u": u, "v": v, "z": z, "w": w}
    return Answer(loss, gradients, values, {"y": dy, "u": du, "v": dv, "z": dz, "w": dw})


STEPS = list(tape_of("sigmoid_skip", 3).outputs)


@pytest.mark.parametrize(("dtype", "factor"), [("float32", 2e-5), ("float64", 2.0**-40)])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_first_failing_stage_is_the_planted_one(step, dtype, factor):
    k = 256
    inputs = sample("uniform", SIGMOID_SKIP.inputs(k), dtype)
    tape = tape_of("sigmoid_skip", k)
    assert failing_stages(tape, inputs, Format.of(dtype), planted(*step, inputs, 0.0))[0] == []
    # The bound of a value that sums many terms is K roundings of them all: there the spread refuses first.
    assert failing_stages(tape, inputs, Format.of(dtype), planted(*step, inputs, factor))[0][:1] == [step]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_larger_planted_error_is_proved(step):
    inputs = sample("uniform", SIGMOID_SKIP.inputs(16), "float32")
    tape = tape_of("sigmoid_skip", 16)
    _, found = failing_stages(tape, inputs, Format.of("float32"), planted(*step, inputs, 1e-4))
    assert next((kind, name) for kind, name, fails, _ in found if fails) == step


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_steps_that_pass_an_error_on_do_not_fail(step, dtype):
    """Among them dL/dy, which computes σ' from the backend's σ(y)."""
    inputs = sample("uniform", SIGMOID_SKIP.inputs(16), dtype)
    tape = tape_of("sigmoid_skip", 16)
    assert failing_stages(tape, inputs, Format.of(dtype), planted(*step, inputs, 0.25))[0] == [step]


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_step_that_is_not_finite_fails_and_nothing_breaks(step, wrong):
    inputs = sample("uniform", SIGMOID_SKIP.inputs(4), "float32")
    answer = planted(*step, inputs, wrong)
    tape = tape_of("sigmoid_skip", 4)
    first = [
        (kind, name) for kind, name, fails, _ in failing_stages(tape, inputs, Format.of("float32"), answer)[1] if fails
    ]
    assert first[:1] == [step]


def test_stages_come_in_order_and_continue_over_missing_arrays():
    inputs = sample("uniform", SIGMOID_SKIP.inputs(8), "float32")
    tape = tape_of("sigmoid_skip", 8)
    answer = sigmoid_skip(np.matmul, **inputs)
    steps = stages(tape, inputs, Format.of("float32"), dict(answer.arrays()))
    assert [(stage.kind, stage.name) for stage in steps] == list(tape.outputs)
    answer = Answer(answer.loss, answer.gradients, {"z": answer.values["z"]})
    some = list(stages(tape, inputs, Format.of("float32"), dict(answer.arrays())))
    assert [stage.name for stage in some] == ["z", None, "A", "B", "C"]
    assert not any(stage.fails.any() for stage in some)


def test_blocks_of_rows_make_the_whole_array():
    inputs = sample("uniform", SIGMOID_SKIP.inputs(20), "float32")
    tape = tape_of("sigmoid_skip", 20)
    for output in analyse(tape, inputs, Format.of("float32")).values():
        blocks = list(output.blocks(7))
        assert len(blocks) == (3 if output.shape else 1)
        for block in blocks:
            assert np.allclose(output.worst[block.rows], block.worst, rtol=1e-12, atol=0)
            assert np.allclose(output.spread[block.rows], block.spread, rtol=1e-12, atol=0)
            assert np.array_equal(output.enclosure.high[block.rows], block.enclosure.high)
    for stage in stages(tape, inputs, Format.of("float32"), dict(sigmoid_skip(np.matmul, **inputs).arrays())):
        for rows, block in stage.blocks(7):
            assert np.allclose(stage.bound[rows], block.bound, rtol=1e-12, atol=0)
            assert np.array_equal(stage.error[rows], block.error)


def test_a_large_matrix_is_walked_in_blocks_with_the_same_result(monkeypatch):
    tape, inputs, _ = case("relu_network", 24, "float64", "uniform")
    before = analyse(tape, inputs, Format.of("float64"))
    monkeypatch.setattr("gradcheck.oracle.walks.BLOCK", 64)
    after = analyse(tape, inputs, Format.of("float64"))
    for key, output in after.items():
        assert np.allclose(output.worst, before[key].worst, rtol=1e-9, atol=0)
        assert np.allclose(output.spread, before[key].spread, rtol=1e-9, atol=0)


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 6), power=st.integers(-20, 20), seed=st.integers(0, 99))
def test_powers_of_two_scale_everything(k, power, seed):
    """The loss is of second degree in C, so its bounds are too."""
    inputs = sample("uniform", SIGMOID_SKIP.inputs(k), "float64", seed)
    tape = tape_of("sigmoid_skip", k)
    scaled = inputs | {"C": inputs["C"] * 2.0**power}
    degrees = {("loss", None): 2, ("gradient", "A"): 2, ("gradient", "B"): 2, ("gradient", "C"): 1}
    before, after = (analyse(tape, each, Format.of("float64")) for each in (inputs, scaled))
    for key, degree in degrees.items():
        factor = 2.0 ** (degree * power)
        assert np.array_equal(after[key].enclosure.high, before[key].enclosure.high * factor)
        assert np.allclose(after[key].worst, before[key].worst * factor, rtol=1e-6, atol=0)
        assert np.allclose(after[key].spread, before[key].spread * factor, rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_permutations_permute(k, seed, data):
    inputs = sample("uniform", SIGMOID_SKIP.inputs(k), "float32", seed)
    tape = tape_of("sigmoid_skip", k)
    order = np.array(data.draw(st.permutations(range(k))))
    A, B, C, x = inputs.values()
    moved = {"A": A[order], "B": B[order], "C": C[:, order], "x": x}
    before, after = (analyse(tape, each, Format.of("float32")) for each in (inputs, moved))
    for name in "AB":
        assert np.allclose(after["gradient", name].worst, before["gradient", name].worst[order], rtol=1e-6)
        assert np.allclose(after["gradient", name].spread, before["gradient", name].spread[order], rtol=1e-6)
        distance = after["gradient", name].enclosure.distance(before["gradient", name].enclosure.high[order])
        assert np.all(np.abs(distance) <= 1e-12 * before["gradient", name].worst.max() + 1e-12)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(st.floats(-4, 4, width=32), min_size=4, max_size=4), dtype=st.sampled_from(["float64", "float32"])
)
def test_one_by_one_is_judged_like_any_other_size(entries, dtype):
    inputs = {
        name: np.full(shape, value, dtype)
        for (name, shape), value in zip(SIGMOID_SKIP.inputs(1).items(), entries, strict=True)
    }
    tape = tape_of("sigmoid_skip", 1)
    answer = sigmoid_skip(np.matmul, **inputs)
    assert not any(sum(counts[:2]) for counts in bad_entries(tape, inputs, Format.of(dtype), answer).values())
    assert failing_stages(tape, inputs, Format.of(dtype), answer)[0] == []


@pytest.mark.parametrize(("dtype", "known"), [("float16", False), ("float32", True)])
def test_a_quotient_may_overflow_in_another_legitimate_form(dtype, known):
    """−(g·a)/(b·b) overflows in float16 where −g(a/b)/b does not."""
    inputs = {"a": np.full(1, 300, dtype), "b": np.full(1, 300, dtype)}
    tape = record(lambda ops, a, b: ops.sum(a / b), {"a": (1,), "b": (1,)}, ("a", "b"))
    analysis = analyse(tape, inputs, Format.of(dtype))
    assert np.isfinite(analysis["gradient", "a"].worst).all()
    assert np.isfinite(analysis["gradient", "b"].worst).all() == known
