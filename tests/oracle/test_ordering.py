"""Places in order, which floats of the case decide (docs/math.md, R43)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck.oracle import Format, analyse, record, stages
from gradcheck.oracle.balls import walk
from gradcheck.oracle.operations.ordering import _order_is_open, _place_is_open
from gradcheck.oracle.unbounded import why_unbounded
from tests.oracle.test_enclosures import outside

DOUBLE, SINGLE = Format.of("float64"), Format.of("float32")


def routed(ops: Any, x: Any, w: Any) -> Any:
    """A mixture of experts: each row takes its two largest products."""
    scores = ops.watch("scores", x @ w)
    best = ops.argsort(scores, axis=-1, descending=True)[:, :2]
    return ops.sum(ops.softmax(ops.take_along_axis(scores, best, axis=-1)) * best * x[:, :2])


def case(**inputs: Any) -> tuple[Any, dict[str, np.ndarray]]:
    arrays = {name: np.asarray(value, float) for name, value in inputs.items()}
    return record(routed, {name: array.shape for name, array in arrays.items()}, tuple(arrays)), arrays


def ordinary() -> tuple[Any, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return case(x=rng.normal(size=(5, 4)), w=rng.normal(size=(4, 6)))


def test_what_depends_on_places_is_enclosed_by_balls() -> None:
    tape, inputs = ordinary()
    balls = walk(tape, inputs, 200)
    for key, output in analyse(tape, inputs, DOUBLE).items():
        assert np.isfinite(output.worst).all()
        assert not outside(output.enclosure, balls[key]), key


def test_gradients_flow_to_the_entries_at_the_places() -> None:
    tape = record(lambda ops, a: ops.take(a, ops.argmax(a)) ** 2 - ops.take(a, ops.argmin(a)), {"a": (4,)}, ("a",))
    found = analyse(tape, {"a": np.array([1.0, 5.0, -2.0, 3.0])}, DOUBLE)["gradient", "a"]
    assert found.enclosure.high.tolist() == [0, 10, -1, 0]


def near_tie(gap: float) -> tuple[Any, dict[str, np.ndarray]]:
    """Products that differ by a gap, after roundings."""
    x = np.array([[1 / 3, 1 / 7]])
    return case(x=x, w=np.array([[1.0, 1.0 + gap, 9.0], [1.0, 1.0, 9.0]]))


@pytest.mark.parametrize(
    ("gap", "format", "is_known"), [(1e-3, SINGLE, True), (1e-8, SINGLE, False), (1e-8, DOUBLE, True)]
)
def test_nothing_is_known_where_roundings_may_change_the_order(gap: float, format: Format, is_known: bool) -> None:
    tape, inputs = near_tie(gap)
    inputs = {name: array.astype(format.name) for name, array in inputs.items()}
    found = analyse(tape, inputs, format)
    known = {key: np.isfinite(each.worst).all() for key, each in found.items()}
    assert known.pop(("value", "scores")), "it is before the choice"
    assert list(known.values()) == [is_known] * len(known)
    if not is_known:
        assert "order" in why_unbounded(tape.at(inputs), inputs, format, ("loss", None))


def test_a_tie_of_computed_entries_has_no_true_value() -> None:
    tape, inputs = near_tie(0.0)
    found = analyse(tape, inputs, DOUBLE)["loss", None]
    assert np.isinf(found.enclosure.radius)
    assert np.isinf(found.spread)


def test_what_is_taken_at_open_places_is_unknown_and_nothing_else() -> None:
    def loss(ops: Any, a: Any, b: Any) -> Any:
        return ops.take(b, ops.argmax(a * 3.0)) + ops.sum(a)

    inputs = {"a": np.array([0.7, np.nextafter(0.7, 1.0)]), "b": np.array([1.0, 2.0])}
    found = analyse(record(loss, {"a": (2,), "b": (2,)}, ("a", "b")), inputs, DOUBLE)
    assert {key: bool(np.isfinite(each.worst).all()) for key, each in found.items()} == {
        ("loss", None): False,
        ("gradient", "b"): False,
        ("gradient", "a"): True,
    }


def test_equal_entries_without_errors_keep_their_order() -> None:
    a = np.array([2.0, 1.0, 2.0, 1.0])
    tape = record(
        lambda ops, a, b: ops.sum(ops.take(b, ops.argsort(a, descending=True)) * [1.0, 2.0, 3.0, 4.0]),
        {"a": (4,), "b": (4,)},
        ("b",),
    )
    found = analyse(tape, {"a": a, "b": np.ones(4)}, SINGLE)["gradient", "b"]
    assert found.enclosure.high.tolist() == [1, 3, 2, 4]
    assert np.isfinite(found.worst).all()


@pytest.mark.parametrize("seed", range(30))
def test_no_errors_change_what_counts_as_certain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, reach = rng.integers(8, size=(6, 4)) / 4.0, rng.integers(2, size=(6, 4)) / 8.0
    order = np.argsort(a, -1, kind="stable")
    largest, smallest = np.argmax(a, -1)[:, None], np.argmin(a, -1)[:, None]
    certain = ~_order_is_open(a, reach, order, 1, descending=False)[:, 0]
    falling = np.argsort(-a, -1, kind="stable")
    certain_falling = ~_order_is_open(a, reach, falling, 1, descending=True)[:, 0]
    of_largest, of_smallest = (
        ~_place_is_open(a, reach, each, 1, sign)[:, 0] for each, sign in ((largest, 1), (smallest, -1))
    )
    seen = np.zeros((4, 6), bool)
    for _ in range(100):
        moved = a + reach * rng.choice([-1.0, 0.0, 1.0], a.shape)
        seen[0] |= (np.argsort(moved, -1, kind="stable") != order).any(-1)
        seen[1] |= (np.argsort(-moved, -1, kind="stable") != falling).any(-1)
        seen[2] |= np.argmax(moved, -1) != largest[:, 0]
        seen[3] |= np.argmin(moved, -1) != smallest[:, 0]
    assert not (seen & [certain, certain_falling, of_largest, of_smallest]).any()


def test_places_are_certain_where_the_next_entry_is_beyond_both_errors() -> None:
    a, reach = np.array([[0.0, 1.0]]), np.array([[0.25, 0.75]])
    order = np.array([[0, 1]])
    assert _order_is_open(a, reach, order, 1, descending=False).all(), "they meet"
    assert not _order_is_open(a, reach * 0.999, order, 1, descending=False).any()
    assert _place_is_open(a, reach, np.array([[1]]), 1, 1).all()
    assert not _place_is_open(a, reach * 0.999, np.array([[1]]), 1, 1).any()


def test_no_later_step_of_a_backend_with_another_order_is_called_wrong() -> None:
    tape, inputs = ordinary()
    right = {key: np.asarray(each.enclosure.high) for key, each in analyse(tape, inputs, DOUBLE).items()}
    wrong = right | {("value", "scores"): -right["value", "scores"]}
    found = list(stages(tape, inputs, DOUBLE, wrong))
    assert [each.kind for each in found if each.fails.any()] == ["value"]
    unknown = [each for each in found if not np.isfinite(each.spread).any()]
    assert {(each.kind, each.name) for each in unknown} == {("loss", None), ("adjoint", "scores"), ("gradient", "x")}
    assert not any(each.fails.any() for each in stages(tape, inputs, DOUBLE, right))
