"""Entries at integers, and sums of entries that are put there: the rules R28 and R10 of docs/math.md are attained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.errors import RequestError
from gradcheck.graphs import RecordingError, record
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import Format, Tape, analyse, tape_of
from gradcheck.oracle.balls import walk
from gradcheck.results import Verdict
from tests.oracle.attaining import NORMAL, SINGLE, U, ratio, share, step
from tests.oracle.test_enclosures import outside
from tests.oracle.test_pieces import FLUSHING, added

single = np.float32


def at(*places: int) -> np.ndarray:
    return np.array(places, np.int64)


def in_order(places: np.ndarray, terms: Any, length: int) -> np.ndarray:
    """A plain loop over terms, as np.add.at has it."""
    result = np.zeros(length, np.asarray(terms).dtype)
    np.add.at(result, places, terms)
    return result


@pytest.mark.parametrize("count", [2, 3, 9, 100])
def test_entries_at_one_place_are_a_sum_in_any_order(count: int) -> None:
    """1 + u + u + … loses every u; a place that comes once is moved, and one that never comes is zero."""
    places, terms = at(*[1] * count, 2), np.array([1, *[U] * (count - 1), 0.7], single)
    loop = in_order(places, terms, 3)
    assert loop[1] == 1
    found = step(added(places), [terms])
    assert found.worst is not None
    assert 0.98 < abs(loop[1] - found.float64[1]) / found.worst[1] <= 1
    assert found.worst[[0, 2]].tolist() == [0, 0]


def test_errors_of_entries_at_one_place_add_up() -> None:
    found = step(added(at(0, 1, 0), shape=(2,)), [[1.0, 2.0, 3.0]], errors=[[0.5, 0.25, 1.0]])
    assert 0.999 < share([5.5, 2.25], found) <= 1


def test_an_entry_that_comes_once_may_be_flushed_where_it_is_added_to_zero() -> None:
    small = 1.99 * NORMAL
    found = step(added(at(1, 0), shape=(2,)), [[small, small]], format=FLUSHING)
    assert 0.99 < share(np.zeros(2), found) <= 1


@pytest.mark.parametrize("low", [-1, 1])
def test_the_spread_of_entries_in_random_order_is_attained(low: int) -> None:
    runs, count = 400, 50
    places = np.tile(np.arange(runs), count)
    terms = np.random.default_rng(1).uniform(low, 2, runs * count).astype(single)
    found = step(added(places, shape=(runs,)), [terms])
    assert 0.4 < ratio(in_order(places, terms, runs)[None], found) < 1.05


@pytest.mark.parametrize("count", [100, 1000])
def test_equal_entries_at_one_place_attain_their_spread(count: int) -> None:
    """A plain loop over equal terms rounds all of them alike (W2)."""
    runs = 200
    places = np.tile(np.arange(runs), count)
    terms = np.tile(np.random.default_rng(2).uniform(1, 2, runs), count).astype(single)
    found = step(added(places, shape=(runs,)), [terms])
    assert 0.5 < ratio(in_order(places, terms, runs)[None], found) < 1.2


def test_entries_at_one_place_that_share_an_error_attain_their_spread() -> None:
    """W3: all terms are one computed number."""
    found = step(added(at(0, 0, 0, 0)), [np.full(4, 2.0)], variances=[np.full(4, 1.0)], format=Format.of("float64"))
    assert found.variance is not None
    assert np.sqrt(found.variance).tolist() == pytest.approx([4.0, 0.0, 0.0])


def everything(ops: Any, E: Any, a: Any, t: Any, s: Any) -> Any:
    """Every word of indices, of integers that come several times, beside whole arrays and pieces."""
    h = ops.watch("h", ops.take(E, t))
    rows = E[s] * E[0] + ops.take(E, s, axis=0)
    picked = ops.take_along_axis(E, ops.reshape(s, (3, 1))) + E[np.arange(3), s][:2].shape[0]
    added = ops.watch("added", ops.at_add(E, (s, t[0]), a))
    summed = ops.sum(h * h) + ops.sum(rows) + ops.sum(picked * picked) + ops.sum(added * E) + ops.sum(E[:, [0, 0, -1]])
    return summed + ops.sum(ops.one_hot(s, 3) * E) + ops.sum(ops.where((E > 0)[s], E[s] * 3, 1.0))


def of_everything(E: np.ndarray, a: np.ndarray, t: np.ndarray, s: np.ndarray) -> dict[str, np.ndarray]:
    """The gradients by hand."""
    rows, dE, added = np.arange(3), np.zeros_like(E), E.copy()
    np.add.at(added, (s, t[0]), a)
    np.add.at(dE, t, 2 * E[t])
    np.add.at(dE, s, E[0] + 1)
    dE[0] += E[s].sum(axis=0)
    picked = E[rows, s] + 2
    np.add.at(dE, (rows, s), 2 * picked)
    dE += added + E
    np.add.at(dE, (slice(None), [0, 0, -1]), 1)
    dE += np.eye(3)[s]
    np.add.at(dE, s, 3 * (E > 0)[s])
    return {"E": dE, "a": E[s, t[0]]}


SHAPES = {"E": (3, 3), "a": (3,), "t": (2, 3), "s": (3,)}
INTEGERS: dict[str, Any] = {"t": "integer", "s": "integer"}


def tape_of_everything() -> Tape:
    return tape_of(record(everything, SHAPES, INTEGERS), ("E", "a"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("t", [[[0, 1, 1], [2, 1, 0]], [[2, 2, 2], [2, 2, 2]]])
def test_gradients_are_those_by_hand_and_enclosed_by_balls(dtype: str, t: Any) -> None:
    rng = np.random.default_rng(0)
    inputs = {"E": rng.normal(size=(3, 3)).astype(dtype), "a": rng.normal(size=3).astype(dtype)}
    inputs |= {"t": np.array(t), "s": at(1, 1, 0)}
    tape = tape_of_everything()
    analysis, balls = analyse(tape, inputs, Format.of(dtype)), walk(tape, inputs, 200)
    right = of_everything(inputs["E"].astype(float), inputs["a"].astype(float), inputs["t"], inputs["s"])
    for name, gradient in right.items():
        assert np.allclose(analysis["gradient", name].enclosure.high, gradient, rtol=1e-12, atol=1e-12)
    for key, output in analysis.items():
        assert not outside(output.enclosure, balls[key]), key


def test_an_index_outside_of_its_axis_is_one_line_with_the_line_of_the_loss() -> None:
    tape = tape_of_everything()
    inputs = {"E": np.ones((3, 3)), "a": np.ones(3), "t": np.zeros((2, 3), int), "s": at(0, 1, 2)}
    for wrong in (3, -1):
        inputs["t"][1, 2] = wrong
        message = (
            rf"test_attaining_indexing.py:\d+: the index {wrong} is outside of an axis of length 3: expected 0 to 2"
        )
        with pytest.raises(RequestError, match=message):
            truth(tape, inputs, SINGLE)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("ops.take(E, [0, 3])", "the index 3 is outside of an axis of length 3: expected 0 to 2"),
        ("ops.take(E, [0, -1])", "the index -1 is outside of an axis of length 3: expected 0 to 2"),
        ("ops.take(E, a)", r"the indices are a value of shape \(3,\): expected integers that sample gives"),
        ("ops.take(E, 1)", "the indices are 1: expected integers that sample gives, or an array of integers"),
        ("ops.take(E, s, axis=2)", "no axis 2 in 2 dimensions"),
        (
            "ops.take_along_axis(E, s)",
            r"integers of shape \(3,\) for an array of shape \(3, 3\): expected as many axes",
        ),
        ("ops.one_hot(s, 2.0)", "num_classes is 2.0: expected a whole number"),
        ("ops.at_add(a, (s, s), a)", r"integers for 2 axes of a value of shape \(3,\): expected at most 1"),
        ("ops.at_add(a, s, E)", r"b has shape \(3, 3\): expected \(3,\), the shape of a at the indices"),
        ("E[a]", "an index is made of integers and slices, got a value of shape .*; let sample give integers"),
        ("E[s, s, s]", r"an index of 3 axes for a value of shape \(3, 3\)"),
        ("E[[0, 3]]", "the index 3 is outside of an axis of length 3"),
        ("E[np.ones(2, bool)]", r"a mask of shape \(2,\) for axes of shape \(3, 3\): expected the same shape"),
        (
            "ops.reshape(E, (3, 3, 1))[0, :, s]",
            r"slices between index arrays: .*write a\[0\]\[:, i\]\.T for a\[0, :, i\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_write(expression: str, message: str) -> None:
    loss = eval(f"lambda ops, E, a, t, s: ops.sum({expression})", {"np": np})
    with pytest.raises(RecordingError, match=message) as caught:
        record(loss, SHAPES, INTEGERS)
    assert "\n" not in str(caught.value)


def test_a_gradient_that_keeps_the_last_of_repeated_indices_is_found() -> None:
    """`dE[t] = dh` for `np.add.at(dE, t, dh)`, beside another contribution."""

    def loss(ops: Any, E: Any, t: Any) -> Any:
        h = ops.watch("h", ops.take(E, t))
        return ops.sum(h * h * h) + ops.sum(E * E)

    tape = tape_of(record(loss, {"E": (4, 2), "t": (5,)}, {"t": "integer"}), ("E",))
    E, t = np.random.default_rng(1).normal(size=(4, 2)), at(0, 2, 2, 3, 0)
    known = truth(tape, {"E": E, "t": t}, Format.of("float64"))
    h, dE = E[t], 2 * E
    dE[t] += 3 * h * h
    answer = BackendAnswer(np.sum(h**3) + np.sum(E**2), {"E": dE}, {"h": h}, {"h": 3 * h * h})
    found = judge(answer, known, "rounding")
    assert (found.verdict, found.first_wrong and found.first_wrong.name) == (Verdict.DIFFERS, "E")
