"""Gradients of arrays that are read by pieces: the sum of pieces, each in its place, with memory for them only."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gradcheck.answers import BackendAnswer
from gradcheck.judging.judge import judge, truth
from gradcheck.oracle import Format, Tape, analyse, record, stages
from gradcheck.oracle.balls import walk
from gradcheck.oracle.operations.places import Places
from gradcheck.oracle.operations.scattering import ScatterAdd
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, evaluate
from gradcheck.oracle.tape import ADJOINT
from gradcheck.results import Verdict
from tests.oracle.attaining import LARGEST, NORMAL, SINGLE, U, ratio, share, step
from tests.oracle.test_enclosures import outside

single = np.float32
NEAR_ONE = single(1 + 2.0**-12)
"""Its square is half-way between two numbers."""

SIZE = 8
LENGTHS = (50, 100, 200)
FLUSHING = Format.of("float32", flushes_results=True)


def added(*indices: Any, shape: tuple[int, ...] = (3,)):
    """The operation that adds pieces into zeros."""
    return ScatterAdd(Places(indices, shape)).operation()


def recurrent(length: int, watched: bool) -> Tape:
    """A recurrent network that reads one row of X at each step."""

    def loss(ops: Any, W: Any, X: Any, h: Any) -> Any:
        X = ops.watch("X²", X * X) if watched else X
        for number in range(length):
            h = ops.tanh(W @ h + X[number])
        return ops.sum(h * h)

    return record(loss, {"W": (SIZE, SIZE), "X": (length, SIZE), "h": (SIZE,)}, ("X",))


@pytest.mark.parametrize("watched", [False, True])
def test_the_entries_of_a_tape_grow_with_the_number_of_pieces(watched: bool) -> None:
    entries = [sum(math.prod(node.shape) for node in recurrent(each, watched).nodes) for each in LENGTHS]
    (first, second) = (after - before for before, after in pairwise(entries))
    assert second == 2 * first


def test_the_memory_of_a_walk_grows_with_the_number_of_pieces() -> None:
    def peak(length: int) -> int:
        tape = recurrent(length, watched=False)
        inputs = {"W": np.full((SIZE, SIZE), 0.1), "X": np.ones((length, SIZE)), "h": np.ones(SIZE)}
        tracemalloc.start()
        analyse(tape, inputs, Format.of("float64"))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(LENGTHS[0])
    short, _, long = map(peak, LENGTHS)
    assert long < 1.2 * LENGTHS[-1] / LENGTHS[0] * short


def mixed(ops: Any, a: Any, M: Any) -> Any:
    """Pieces of every kind, which overlap, beside whole arrays."""
    b = ops.watch("b", a * 3)
    rows = M[0] * M[-1] + M[1, ...]
    return ops.sum(b[1:3] * b[0:2] * b[2]) + b[...] @ b + a[0] * ops.sum(M[:, 1]) + ops.sum(rows[::2]) + ops.sum(M * M)


def of_mixed(a: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients by hand."""
    b, da, dM = a * 3, np.zeros(3), 2 * M
    db = 2 * b
    db[1:3] += b[0:2] * b[2]
    db[0:2] += b[1:3] * b[2]
    db[2] += np.sum(b[1:3] * b[0:2])
    da[0] = np.sum(M[:, 1])
    dM[:, 1] += a[0]
    dM[0, ::2] += M[-1, ::2]
    dM[-1, ::2] += M[0, ::2]
    dM[1, ::2] += 1
    return 3 * db + da, dM


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_overlapping_pieces_and_whole_arrays_add_up(dtype: str) -> None:
    rng = np.random.default_rng(0)
    inputs = {"a": rng.normal(size=3).astype(dtype), "M": rng.normal(size=(3, 4)).astype(dtype)}
    tape = record(mixed, {"a": (3,), "M": (3, 4)}, ("a", "M"))
    analysis, balls = analyse(tape, inputs, Format.of(dtype)), walk(tape, inputs, 200)
    for name, right in zip("aM", of_mixed(*(inputs[each].astype(np.float64) for each in "aM")), strict=True):
        assert np.allclose(analysis["gradient", name].enclosure.high, right, rtol=1e-12, atol=1e-12)
    for key, output in analysis.items():
        assert not outside(output.enclosure, balls[key]), key


def test_a_piece_that_no_other_overlaps_is_moved() -> None:
    apart = added(0, slice(1, 3))
    found = step(apart, [1.5, [2.5, 3.5]], errors=[0.25, None], variances=[None, [1.0, 4.0]])
    assert found.float64.tolist() == [1.5, 2.5, 3.5]
    assert found.worst is not None
    assert found.variance is not None
    assert (found.worst.tolist(), found.variance.tolist()) == ([0.25, 0, 0], [0, 1, 4])
    assert step(apart, [1.5, [2.5, 3.5]]).worst is None
    overlapping = step(added(0, slice(0, 2), shape=(4,)), [1.0, [single(U), 1.0]])
    assert overlapping.worst is not None
    assert (overlapping.worst > 0).tolist() == [True, False, False, False]


def test_pieces_that_overlap_are_a_sum_in_any_order() -> None:
    """c terms meet c − 1 roundings at their entry, however many pieces there are elsewhere."""
    elsewhere = [slice(1, 3)] * 40
    for count in (2, 3, 9):
        terms = np.array([1] + (count - 1) * [U], single)
        loop = np.cumsum(terms)[-1]
        assert loop == 1
        operation = added(*[0] * count, *elsewhere)
        answer = np.array([loop, 40, 40])
        found = step(operation, [*terms, *[np.ones(2)] * 40])
        assert found.worst is not None
        assert 0.98 < abs(answer[0] - found.float64[0]) / found.worst[0] <= 1


def test_pieces_that_cancel_are_rounded_by_their_size() -> None:
    terms = np.array([1, U, -1], single)
    answer = np.array([np.cumsum(terms)[-1], 0, 0])
    found = step(added(0, 0, slice(0, 1)), [*terms[:2], terms[2:]])
    assert found.worst is not None
    assert 0.24 < abs(answer[0] - found.float64[0]) / found.worst[0] <= 1


def test_errors_of_pieces_add_up() -> None:
    found = step(added(..., 0, slice(0, 2)), [np.ones(3), 2.0, [3.0, 4.0]], errors=[np.full(3, 0.5), 1.0, [2.0, 4.0]])
    assert 0.999 < share([9.5, 9.5, 1.5], found) <= 1


def test_the_spread_of_pieces_is_attained() -> None:
    runs = 4096
    terms = np.random.default_rng(1).uniform(0.67, 0.68, (3, runs)).astype(single)
    operation = added(..., slice(None), slice(None), shape=(runs,))
    assert 0.5 < ratio(np.cumsum(terms, axis=0)[-1:], step(operation, list(terms))) < 1.05


def test_zeros_that_are_added_flush_a_piece_that_is_alone() -> None:
    """Below twice the smallest normal number, as a kernel does that builds results from their halves (R11)."""
    small, zeros = 1.99 * NORMAL, np.zeros(3)
    assert 0.99 < share(zeros, step(added(0, slice(1, 3)), [small, [small, small]], format=FLUSHING)) <= 1
    assert step(added(slice(0, 2)), [[small, small]], format=FLUSHING).worst is None  # added to nothing


def test_every_term_of_a_sum_may_be_flushed() -> None:
    small = 1.99 * NORMAL
    found = step(added(0, 0, 0), [small, small, small], format=FLUSHING)
    assert found.worst is not None
    assert 0.59 < found.float64[0] / found.worst[0] <= 1


def test_partial_sums_of_pieces_may_overflow() -> None:
    far = 0.9 * LARGEST
    found = step(added(0, 0, 0, 1), [far, far, -far, 1.0])
    assert found.worst is not None
    assert np.isinf(found.worst[0])
    assert np.isfinite(found.worst[1:]).all()


def test_products_may_be_distributed_over_overlapping_pieces() -> None:
    """W7: pv − qv for (p − q)v; both products are half-way between two numbers."""

    def loss(ops: Any, a: Any, p: Any, q: Any, v: Any) -> Any:
        y = a * v
        return y[0] * p - y[0:1] @ q

    far = NEAR_ONE + single(2 * U)
    answer = NEAR_ONE * NEAR_ONE - far * NEAR_ONE
    inputs = {"a": np.ones(2, single), "p": np.array(NEAR_ONE), "q": single([far]), "v": np.array(NEAR_ONE)}
    tape = record(loss, {name: array.shape for name, array in inputs.items()}, ("a",))
    output = analyse(tape, inputs, SINGLE)["gradient", "a"]
    assert 0.49 < abs(output.enclosure.distance(np.full(2, answer))[0]) / output.worst[0] <= 1


def test_terms_of_a_piece_may_be_added_to_other_pieces_first() -> None:
    """W7: (1 + u) − 1 for (1 − 1) + u."""
    answer = (single(1) + single(U)) - single(1)
    assert answer == 0
    difference = Quantity(np.zeros(()), parts=np.asarray(2.0))
    found = evaluate(Arithmetic.float64(SINGLE), added(0, 0), [difference, Quantity(np.asarray(U))])
    assert found.worst is not None
    assert 0.49 < U / found.worst[0] <= 1
    assert (found.worst[1:] == 0).all()


def tied(ops: Any, a: Any) -> Any:
    return ops.max(a) * 2 + a[0] * 3 - a[0:2] @ a[1:3] + ops.max(a[2:4])


def test_shares_at_a_tie_add_up_beside_pieces() -> None:
    """Zeros for all tied entries violate the rule of the sum (R21)."""
    inputs = {"a": np.array([1.5, 1.5, 0.25, 0.125])}
    known = truth(record(tied, {"a": (4,)}, ("a",)), inputs, Format.of("float64"))
    others = np.array([3 - 1.5, -(1.5 + 0.25), -1.5 + 1, 0])
    loss = np.asarray(3.0 + 4.5 - (1.5 * 1.5 + 1.5 * 0.25) + 0.25)
    for shares, verdict in (
        ([1.0, 1.0, 0, 0], Verdict.AGREES),
        ([0, 2.0, 0, 0], Verdict.AGREES),
        ([0, 0, 0, 0], Verdict.DIFFERS),
        ([2.0, 2.0, 0, 0], Verdict.DIFFERS),
    ):
        found = judge(BackendAnswer(loss, {"a": others + shares}), known, "rounding")
        assert found.verdict is verdict, (shares, found.reason)


def test_the_terms_of_a_step_are_the_pieces_in_their_places() -> None:
    def loss(ops: Any, a: Any) -> Any:
        return a[0] * 2 + ops.sum(a[1:3]) + a @ a

    tape = record(loss, {"a": (3,)}, ("a",))
    assert all(node.operation is not ADJOINT for node in tape.nodes)
    inputs = {"a": np.array([1.0, 2.0, 3.0])}
    right = np.array([4.0, 5.0, 7.0])
    [_, gradient] = stages(
        tape, inputs, Format.of("float64"), {("loss", None): np.asarray(21.0), ("gradient", "a"): right}
    )
    terms = sorted(term.tolist() for term in gradient.terms)
    assert terms == [[0, 1, 1], [1, 2, 3], [1, 2, 3], [2, 0, 0]]
    found = judge(
        BackendAnswer(np.asarray(21.0), {"a": right - [2, 0, 0]}), truth(tape, inputs, Format.of("float64")), "rounding"
    )
    assert found.verdict is Verdict.DIFFERS
