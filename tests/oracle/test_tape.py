"""Recording: the content of the tape, and messages about a loss that cannot be recorded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gradcheck.graphs import RecordingError
from gradcheck.oracle import Format, analyse, record
from tests.oracle.problems import PROBLEMS, SIGMOID_SKIP


def gradient(loss, **inputs):
    """The loss and its gradients."""
    tape = record(loss, {name: np.shape(array) for name, array in inputs.items()}, tuple(inputs))
    analysis = analyse(tape, {name: np.asarray(array, float) for name, array in inputs.items()}, Format.of("float64"))
    return {name: output.enclosure.high for (_, name), output in analysis.items()}


def test_outputs_are_values_in_order_then_the_loss_then_adjoints_backwards_then_gradients():
    tape = record(SIGMOID_SKIP.loss, SIGMOID_SKIP.inputs(3), SIGMOID_SKIP.wrt)
    assert tape.watched == ("y", "u", "v", "z", "w")
    values, adjoints = [("value", name) for name in "yuvzw"], [("adjoint", name) for name in "wzvuy"]
    gradients = [("gradient", name) for name in "ABC"]
    assert list(tape.outputs) == [*values, ("loss", None), *adjoints, *gradients]


def test_unneeded_nodes_are_dropped():
    everything = record(SIGMOID_SKIP.loss, SIGMOID_SKIP.inputs(3), ("A", "B", "C", "x"))
    requested = record(SIGMOID_SKIP.loss, SIGMOID_SKIP.inputs(3), ("C",))
    assert len(requested.nodes) < len(everything.nodes)


def test_a_matrix_that_many_products_take_is_transposed_once():
    def loss(ops, W, h):
        for _ in range(5):
            h = W @ h
        return ops.sum(h)

    tape = record(loss, {"W": (3, 3), "h": (3,)}, ("W", "h"))
    assert [node.operation.name for node in tape.nodes if node.operation].count("permute_dims") == 1


def test_an_input_that_the_loss_does_not_use_has_gradient_zero():
    found = gradient(lambda ops, a, unused: ops.sum(a * a), a=[1.0, 2.0], unused=[[3.0]])
    assert found["a"].tolist() == [2.0, 4.0]
    assert found["unused"].tolist() == [[0.0]]


def test_broadcast_operands_collect_their_gradients():
    found = gradient(
        lambda ops, M, row, number: ops.sum(M * row + number), M=np.ones((3, 2)), row=[2.0, 5.0], number=1.0
    )
    assert found["M"].tolist() == [[2.0, 5.0]] * 3
    assert found["row"].tolist() == [3.0, 3.0]
    assert found["number"] == 6.0


def test_a_value_used_three_times_collects_three_contributions():
    assert gradient(lambda ops, a: ops.sum(a * a * a + 2 * a - a / 4), a=[2.0])["a"].tolist() == [13.75]


def test_at_a_tie_every_branch_is_within_the_bounds():
    tape = record(lambda ops, a: ops.sum(ops.relu(a)) + ops.max(a), {"a": (3,)}, ("a",))
    output = analyse(tape, {"a": np.array([0.0, 0.0, -1.0])}, Format.of("float64"))["gradient", "a"]
    for legitimate in ([0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [2.0, 0.0, 0.0]):
        error = np.abs(output.enclosure.distance(np.array(legitimate)))
        assert np.all(error <= output.worst + output.enclosure.radius)
        assert np.all(error <= 32 * output.spread)
    assert np.abs(output.enclosure.distance(np.array([0.0, 0.0, 1.0])))[2] > output.worst[2]


@pytest.mark.parametrize(
    ("exponent", "slope"), [(0, 0.0), (1, 1.0), (2, 6.0), (3, 27.0), (-1, -1 / 9), (0.5, 3**-0.5 / 2)]
)
def test_powers(exponent, slope):
    assert np.isclose(gradient(lambda ops, a: ops.sum(a**exponent), a=[3.0])["a"][0], slope, rtol=1e-15)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda ops, a, M: ops.clip(a), "ops.clip: neither min nor max is given: expected one of them, or both"),
        (
            lambda ops, a, M: ops.clip(a, a, 1.0),
            r"min is a value of shape \(2,\): expected a number; write ops.maximum",
        ),
        (lambda ops, a, M: ops.clip(a, 0.0, float("inf")), "max is inf: expected a finite number; leave it out"),
        (lambda ops, a, M: ops.clip(a, 2, 1), "min is 2, max is 1: expected a min below max"),
        (lambda ops, a, M: ops.clamp(a, 0, 1), r"unknown operation ops.clamp: write ops.clip\(a, min, max\)"),
        (lambda ops, a, M: ops.gelu(a, "tanh"), "approximate is 'tanh': expected False, or True for the form with"),
        (lambda ops, a, M: min(a, 0), r"ops.minimum\(a, b\) for the smaller of two"),
        (lambda ops, a, M: ops.sum(ops.convolve(a, a)), "unknown operation ops.convolve"),
        (lambda ops, a, M: ops.sum(ops.matmul(M, M @ a)), r"matmul.* \(3, 2\) and \(3,\)"),
        (lambda ops, a, M: ops.sum(M + ops.outer(a, a)), r"operator \+: shape mismatch"),
        (lambda ops, a, M: ops.sum(a, axis=3), "no axis 3"),
        (lambda ops, a, M: ops.watch("a", a * 2), "'a' is taken"),
        (lambda ops, a, M: ops.watch("b", ops.watch("b", ops.sum(a))), "'b' is taken"),
        (lambda ops, a, M: a > 2, "the loss returns a condition: expected one number, computed from the inputs"),
        (
            lambda ops, a, M: 2.0,
            "the loss returns 2.0, which does not depend on the inputs: expected one number, computed",
        ),
        (lambda ops, a, M: ops.sum(M ** a[:1] ** M.T), r"operator \*\*: shape mismatch"),
        (
            lambda ops, a, M: ops.sum(a * np.array(["x", "y"])),
            r"operator \*: got a NumPy array of shape \(2,\) of dtype <U1: expected an array of real numbers",
        ),
        (
            lambda ops, a, M: ops.sum((a > 0) * (a > 1)),
            r"got a condition and a condition: expected numbers; write ops.where\(condition, 1.0, 0.0\)",
        ),
        (lambda ops, a, M: ops.sum(ops.where(a, a, a)), "expected a condition: a comparison, such as a > 0"),
        (lambda ops, a, M: ops.exp(2.0), "ops.exp: got 2.0: expected a value of the problem"),
        (lambda ops, a, M: ops.sum(a[2]), "index 2 is out of bounds"),
        (lambda ops, a, M: ops.sum(M[:, 0, 0]), "too many indices"),
        (lambda ops, a, M: ops.sum(a[::0]), "slice step cannot be zero"),
        (lambda ops, a, M: ops.sum(a[a > 0]), "made of integers and slices, got a condition; write ops.where"),
        (
            lambda ops, a, M: ops.permute_dims(M, (0, 0)),
            r"the axes are \(0, 0\): expected each axis of shape \(3, 2\) once",
        ),
        (lambda ops, a, M: ops.permute_dims(M, 1), r"the axes are 1: expected .*, such as \(1, 0\)"),
        (lambda ops, a, M: ops.matrix_transpose(a), r"got a value of shape \(2,\): expected two axes or more"),
        (lambda ops, a, M: ops.moveaxis(M, (0, 1), 0), "expected equally many axes"),
        (lambda ops, a, M: ops.moveaxis(M, 2, 0), "no axis 2 in 2 dimensions"),
        (lambda ops, a, M: ops.expand_dims(M, axis=3), "no axis 3 in 3 dimensions"),
        (lambda ops, a, M: ops.squeeze(M, axis=1), r"axis=1 of shape \(3, 2\): expected axes of length 1"),
        (
            lambda ops, a, M: ops.broadcast_to(M, (2, 2)),
            r"cannot broadcast \(3, 2\) to \(2, 2\): expected equal lengths",
        ),
        (lambda ops, a, M: ops.stack([a, M]), r"shapes \(2,\) and \(3, 2\) do not fit: expected arrays of one shape"),
        (lambda ops, a, M: ops.unstack(a, axis=1), "ops.unstack: no axis 1 in 1 dimensions"),
        (lambda ops, a, M: ops.roll(M, 1.5, axis=0), "shift=1.5: expected a whole number"),
        (lambda ops, a, M: ops.roll(M, (1, 2), axis=0), "expected a shift for each axis"),
        (lambda ops, a, M: ops.tile(M, (2, -1)), r"repetitions=\(2, -1\): expected no negative number"),
        (lambda ops, a, M: ops.repeat(M, 1.5), "repeats=.*: expected whole numbers"),
        (
            lambda ops, a, M: ops.pad(M, 1),
            r"pad_width=1 for shape \(3, 2\): expected a pair \(before, after\) for each axis",
        ),
        (lambda ops, a, M: ops.pad(a, ((1, 1),), float("inf")), "constant_values is inf: expected a finite number"),
        (lambda ops, a, M: ops.tril(a), r"ops.tril: got a value of shape \(2,\): expected two axes or more"),
        (lambda ops, a, M: ops.vecdot(M, a, axis=0), "expected a negative axis that both have"),
        (lambda ops, a, M: ops.vecdot(M, a, axis=-2), "expected a negative axis that both have"),
        (lambda ops, a, M: ops.vecdot(M, M.T), "expected equal lengths along axis -1"),
        (lambda ops, a, M: ops.tensordot(M, a), r"axes=2 of shapes \(3, 2\) and \(2,\): expected at most 1"),
        (lambda ops, a, M: ops.tensordot(M, a, ([0], [0])), r"the axes have lengths \(3,\) and \(2,\)"),
        (lambda ops, a, M: ops.tensordot(M, a, "ij"), "axes='ij': expected a number of axes, or a pair of tuples"),
        (lambda ops, a, M: ops.zeros((2, -1)), r"ops.zeros: .*: expected ops.zeros\(shape\)"),
        (lambda ops, a, M: ops.eye(), r"expected ops.eye\(n_rows, n_cols=None, k=0\)"),
        (lambda ops, a, M: ops.full((2,), a), "a value of the problem"),
        (lambda ops, a, M: ops.zeros_like(2.0), "ops.zeros_like: .*: expected ops.zeros_like"),
        (lambda ops, a, M: ops.einsum("ij", M), "got 1 operand: expected two or more"),
        (lambda ops, a, M: ops.einsum("ij,i->j", M, a), "'i' has the lengths 3 and 2: expected one"),
        (lambda ops, a, M: ops.einsum("ij,jk->ik", M, a), "'jk' has 2 labels, its operand the shape"),
        (lambda ops, a, M: ops.einsum("ij,j->k", M, a), "expected each label of the result once, and in an operand"),
        (lambda ops, a, M: ops.einsum("ii,j->j", M, a), "has a label twice: write ops.diagonal first"),
        (lambda ops, a, M: ops.einsum("ij->j", M, a), "has 1 operands, got 2"),
        (lambda ops, a, M: ops.einsum("i-,j->j", M, a), "expected letters, commas"),
        (lambda ops, a, M: ops.unstack(2.0), "ops.unstack: got 2.0: expected a value of the problem"),
        (lambda ops, a, M: ops.transpose(M), "unknown operation ops.transpose: write a.T of a matrix"),
        (
            lambda ops, a, M: ops.concatenate([a, a]),
            r"unknown operation ops.concatenate: write ops.concat\(\[a, b\], axis\)",
        ),
        (lambda ops, a, M: ops.concat(a), "a list of values"),
        (lambda ops, a, M: ops.concat([M, a]), "ops.concat: all the input array"),
        (lambda ops, a, M: ops.sum(ops.softmax(M, axis=2)), "no axis 2"),
        (lambda ops, a, M: ops.sum(ops.logsumexp(M, axis=-3)), "no axis -3"),
        (lambda ops, a, M: ops.sum(ops.reshape(M, (4,))), r"cannot reshape \(3, 2\) into \(4,\)"),
        (lambda ops, a, M: ops.tanh(M, a), r"ops.tanh: called with 2 arguments: expected ops.tanh\(a\)"),
        (lambda ops, a, M: ops.tanh(), r"ops.tanh: called with 0 arguments: expected ops.tanh\(a\)"),
        (lambda ops, a, M: ops.sum(M, dim=1), "ops.sum: no argument 'dim': write axis; expected ops.sum"),
        (lambda ops, a, M: ops.sum(M, keepdim=True), "no argument 'keepdim': write keepdims; "),
        (lambda ops, a, M: ops.sum(M, axsi=1), "no argument 'axsi': did you mean 'axis'"),
        (lambda ops, a, M: ops.sum(2.0), "ops.sum: a is 2.0: expected a value of the problem"),
        (lambda ops, a, M: ops.sum(M, axis=0.5), "axis=0.5: expected a whole number, or a tuple of them"),
        (lambda ops, a, M: ops.sum(M, axis=[0, 1]), r"axis=\[0, 1\]: expected a whole number, or a tuple"),
        (lambda ops, a, M: ops.sum(M, axis=(0, -2)), "expected each axis once"),
        (lambda ops, a, M: ops.softmax(M, axis=None), "ops.softmax: axis=None: expected a whole number"),
        (lambda ops, a, M: ops.reshape(M, (-1, -1)), r"cannot reshape \(3, 2\) into \(-1, -1\)"),
        (lambda ops, a, M: ops.reshape(M, (4, -1)), r"cannot reshape \(3, 2\) into \(4, -1\)"),
        (lambda ops, a, M: ops.reshape(M, 6), r"the shape is 6: expected a tuple of sizes, such as \(6,\)"),
        (lambda ops, a, M: ops.reshape(M, 2, 3), r"called with 3 arguments: expected ops.reshape\(a, shape\)"),
        (lambda ops, a, M: a ** "x", "the exponent is 'x': expected a number or an array as exponent"),
        (lambda ops, a, M: abs(a), r"abs\(a\): write ops.abs\(a\)"),
        (lambda ops, a, M: a % 2, "// and % of values"),
        (lambda ops, a, M: len(a), r"write a.shape\[0\]"),
        (lambda ops, a, M: sum(a), r"write .*ops.sum\(a\) instead of sum\(a\)"),
        (lambda ops, a, M: max(a, 0), r"ops.maximum\(a, b\) for the larger of two"),
        (lambda ops, a, M: a == 0, "operator ==: expected integers that sample gives on one side; write > or >="),
        (lambda ops, a, M: math.sqrt(a), "ops.sqrt instead of math.sqrt"),
        (lambda ops, a, M: a.__setitem__(0, 1.0), "cannot be replaced: write ops.concat"),
        (lambda ops, a, M: a.sum(), "no .sum, only .T, .mT, .shape and .ndim: write ops.sum"),
        (lambda ops, a, M: M.reshape(6), "write ops.reshape"),
        (lambda ops, a, M: a.dtype, "write nothing: --dtype says"),
        (lambda ops, a, M: a.detach(), r"write ops.stop_gradient\(a\)"),
        (lambda ops, a, M: ops.dot(M, a), "unknown operation ops.dot: write a @ b; expected one of"),
        (lambda ops, a, M: ops.tnah(M), "unknown operation ops.tnah: did you mean 'tanh'"),
        (lambda ops, a, M: ops.watch(a, "h"), r"got a value of shape \(2,\) and 'h': expected ops.watch\('name', a\)"),
        (lambda ops, a, M: np.dot(M.T, a), "NumPy's dot received a value of the problem: write a @ b"),
        (lambda ops, a, M: np.sum(a), "NumPy's sum received a value of the problem: write ops.sum"),
        (lambda ops, a, M: np.linalg.norm(a), r"NumPy's norm received .*: write ops.vector_norm\(a\)"),
        (lambda ops, a, M: np.asarray(a), "NumPy cannot hold a value of the problem"),
        (lambda ops, a, M: np.array([a, a]), "NumPy cannot hold a value of the problem"),
        (lambda ops, a, M: np.ones(3) @ a, r"operator @: shapes \(3,\) and \(2,\) do not fit"),
        (lambda ops, a, M: ops.sum(a * [1.0, float("nan")]), r"operator \*: got .* that holds NaN"),
        (lambda ops, a, M: None, "the loss returns None: expected one number, .*: is a return missing"),
        (lambda ops, a, N: ops.sum(a), r"expected loss\(ops, a, M\), or loss\(a, M\) written in NumPy"),
        (
            lambda ops, a, M: ops.reshape(M, (3, 2, 1)).T,
            r".T: got a value of shape \(3, 2, 1\): expected a matrix; write a.mT",
        ),
    ],
)
def test_an_error_names_the_line_and_the_reason(loss, message):
    with pytest.raises(RecordingError, match=message) as caught:
        record(loss, {"a": (2,), "M": (3, 2)}, ("a",))
    line = loss.__code__.co_firstlineno
    assert str(caught.value).startswith(f"{Path(__file__)}:{line}: ")


def test_gradients_of_unknown_inputs_are_refused():
    with pytest.raises(RecordingError, match="'B', which is not one of the inputs A"):
        record(lambda ops, A: ops.sum(A), {"A": (2,)}, ("B",))


def test_a_branch_in_python_is_refused():
    with pytest.raises(RecordingError, match=r"no truth value .*: write ops\.where"):
        record(lambda ops, a: ops.sum(a) if a > 0 else a, {"a": ()}, ("a",))


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_agree_with_finite_differences(name):
    problem = PROBLEMS[name]
    rng = np.random.default_rng(5)
    inputs = {each: rng.uniform(0.1, 1, shape) for each, shape in problem.inputs(3).items()}
    tape = record(problem.loss, problem.inputs(3), problem.wrt)
    analysis = analyse(tape, inputs, Format.of("float64"))
    for wrt in problem.wrt:
        direction, step = rng.standard_normal(inputs[wrt].shape), 1e-6
        ahead, behind = (
            analyse(tape, inputs | {wrt: inputs[wrt] + sign * step * direction}, Format.of("float64"))["loss", None]
            for sign in (1, -1)
        )
        slope = (ahead.enclosure.high - behind.enclosure.high) / (2 * step)
        assert np.isclose(slope, np.sum(analysis["gradient", wrt].enclosure.high * direction), rtol=1e-6)
