"""Losses in NumPy: recorded losses compute the same as NumPy, and other losses get a message with what to write."""

from __future__ import annotations

import cProfile
import functools
import json
import math
import sys

import numpy as np
import pytest

from gradcheck.backends import Operations
from gradcheck.backends._numpy_vocabulary import PRIMITIVES
from gradcheck.backends._worker.graph import InterpretedGraph
from gradcheck.graphs import RecordingError, record
from gradcheck.graphs.numpy import FUNCTIONS, OF_SCIPY, UFUNCS

SHAPES = {"A": (3, 3), "x": (3,), "s": (), "T": (2, 3, 4)}
EVERY_SHAPE = SHAPES | {"i": (3,), "m": (3,)}
KINDS = {"i": "integer", "m": "boolean"}
MASK = np.array([True, False, True])
EYE = np.eye(3)
WEIGHTS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])

EXPRESSIONS = {
    "algebra": ["np.linalg.cholesky(A @ A.T + EYE)", "np.linalg.solve(A + 4 * EYE, x)", "np.linalg.inv(A + 4 * EYE)",
        "np.linalg.slogdet(A + 4 * EYE)[1]", "np.linalg.slogdet(A + 4 * EYE).logabsdet"],
    "ufuncs": [
        "np.exp(x)", "np.log(np.abs(x))", "np.log1p(x * x)", "np.expm1(x)", "np.sqrt(np.fabs(x))", "np.tanh(A)",
        "np.sin(x) + np.cos(x)", "np.tan(x)", "np.arctan(x)", "np.arcsin(0.5 * x) + np.arccos(0.5 * x)",
        "np.arcsinh(x) + np.arccosh(2 + x * x) + np.arctanh(0.5 * x)", "np.sinh(x) + np.cosh(x)", "np.exp2(x)",
        "np.arctan2(x, A)", "np.hypot(x, 2)", "np.logaddexp(x, A)", "np.power(np.abs(x), x)", "np.abs(x) ** A",
        "2.0**x",         "x ** [1, 2, 3]", "np.power(2.0, x)",
        "np.log2(np.abs(x)) + np.log10(np.abs(x))", "x * np.sign(x)", "x * np.floor(x) + x * np.ceil(x)",
        "x * np.rint(x)", "x * np.round(x)", "x * np.round(x, 1)", "x * np.around(4 * x)",
        "np.square(A)", "np.reciprocal(x)", "np.negative(x)", "np.positive(x)",
        "np.power(np.abs(x), 2.5)", "np.power(x, np.array(3))", "np.add(x, 1)", "np.subtract(1, x)",
        "np.multiply(x, x)", "np.divide(x, 3)", "np.true_divide(A, x)", "np.matmul(A, x)",
        "np.maximum(0, x)", "np.minimum(x, 0.1)", "np.minimum(x, np.inf)",
        "np.where(np.greater(x, 0), x, 1.0)", "np.where(A > 0, x, 1.0)",
        "np.where(np.less(x, 0), x, 2 * x)", "np.where(np.less_equal(x, 0.0), x, 3 * x)",
        "np.where(np.greater_equal(x, 0.0), x, 3 * x)", "np.absolute(x)",
    ],
    "operators": [
        "1 / (1 + np.exp(-(A @ x)))", "x @ A", "x @ x", "A.T @ x", "2 - x", "x**2", "abs(x)", "+x",
        "np.float64(2.0) * x", "np.float32(0.1) * x", "x * np.int64(3)", "WEIGHTS @ x", "x @ WEIGHTS", "WEIGHTS * A",
        "[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]] @ x",
        "[1.0, 2.0, 3.0] * x",
        "np.where(x > 0, x, -x)", "np.where(0 < x, x, 0)", "np.where(x < 0.1, x, 2 * x)",
        "np.where(x <= 0.1, x, 2 * x)", "np.where(MASK, x, 2 * x)", "np.where(x >= 0, 1.0, 0.0)",
    ],
    "reductions": [
        "np.sum(A, axis=0)", "np.sum(A, 1, keepdims=True)", "A.sum(axis=(0, 1))", "A.sum(axis=-2)", "x.mean()",
        "np.mean(T, axis=(0, 2))", "np.cumsum(A, axis=1)", "np.cumsum(T)",
        "np.prod(A)", "np.prod(T, axis=(0, 2))", "A.prod(axis=-1, keepdims=True)",
        "np.cumprod(A, axis=1)", "np.cumprod(T)",
        "np.max(A, axis=-1)", "np.amax(A)", "A.min(axis=0)", "np.amin(A)", "np.var(A)", "np.var(A, axis=0, ddof=1)",
        "A.std(axis=1, keepdims=True)", "np.linalg.norm(x)", "np.linalg.norm(x, 2)", "np.linalg.norm(A, 'fro')",
        "np.linalg.norm(A)", "np.linalg.norm(A, axis=1)",
        "np.clip(A, -0.2, 0.3)", "x.clip(-0.2, None)", "x.clip(min=-0.2)", "A.clip(max=0.3)",
        "np.clip(x, A[0], 0.3)", "np.clip(x, -np.inf, 0.1)",
    ],
    "products": [
        "np.dot(A, x)", "np.dot(x, x)", "np.dot(2.0, x)", "np.dot(x, 2.0)", "x.dot(A)", "np.inner(x, x)",
        "np.inner(A, A)", "np.inner(T, T)", "np.inner(x, 2.0)",
        "np.dot(A, np.reshape(T, (2, 3, 4)))", "np.tensordot(A, A, 1)", "np.tensordot(T, A, ([1], [0]))",
        "np.einsum('ij,j->i', A, x)", "np.einsum('...i,i', A, x, optimize=True)", "np.trace(A)", "A.trace(offset=1)",
        "np.vecdot(A, x)", "np.vdot(A, A)", "np.outer(x, x[1:])", "T[0] @ T[1].T", "T[0].T @ T[1, :, 0]",
    ],
    "moving": [
        "np.flip(T)", "np.flip(A, 1)", "np.fliplr(A)", "np.flipud(A)", "np.roll(A, 2)", "np.roll(A, (1, 2), (0, 1))",
        "np.repeat(A, 2, axis=1)", "x.repeat(3)", "np.tile(x, 2)", "np.tile(A, (2, 1))", "np.pad(x, 1)",
        "np.pad(A, ((1, 0), (0, 2)), constant_values=0.5)", "np.pad(A, (1, 2), 'constant')",
        "np.tril(A)", "np.triu(A, k=-1)",
        "np.diagonal(A)", "T.diagonal(1, 2, 0)",
        "T.T", "np.transpose(T, (1, -1, 0))", "T.transpose(0, 2, 1)", "T.transpose((2, 0, 1))", "np.swapaxes(T, 0, -1)",
        "T.swapaxes(1, 2)", "np.moveaxis(T, [0, 1], [-1, 0])", "np.moveaxis(T, 0, 1)", "x[::-1]", "A[::-2, None, ::-1]",
        "np.squeeze(T[:, :1], 1)", "np.expand_dims(x, (0, 2))", "np.squeeze(T)",
        "A.T", "np.transpose(A)", "A.transpose()", "np.reshape(T, (6, 4))", "T.reshape(-1, 4)", "T.reshape((4, 6))",
        "A.ravel()", "A.flatten()", "np.ravel(A)", "np.expand_dims(x, 0)",
        "np.expand_dims(x, -1)", "np.squeeze(x[None])",
        "x[:, None] * x[None, :]", "x[None]", "A[..., None]", "A[0]", "A[:, 1]", "A[-1, ::2]", "T[1, ..., 2]",
        "x[1:]",
        "np.concatenate([x, A[0]])", "np.concatenate((A, A), axis=1)", "np.stack([x, x])",
        "np.stack([x, 2 * x], axis=-1)",
        "np.vstack([x, x])", "np.hstack([x, x])", "np.hstack([A, A])", "np.split(T, 2)[1]", "np.split(x, [1])[0]",
        "np.split(T, 2, axis=2)[0]", "np.broadcast_to(x, (2, 3))", "np.copy(x)", "x.copy()",
        "np.cumsum(x)", "np.cumsum(A, axis=1)",
    ],
    "kinds": [
        "x[i]", "A[i]", "A[:, i]", "A[np.arange(3), i]", "T[..., i, i[:, None]]", "T[[1, 0, 1], i]",
        "T[1, i]", "T[1:, i, 0]", "A[[0, -1, 2]]", "A[MASK]", "A[EYE > 0]", "A[np.array([[0, -1], [1, 1]]), i[1:]]",
        "np.take(A, i)", "np.take(A, i, axis=0)", "np.take(T, i[:, None], axis=-2)",
        "(i[..., None] == np.arange(3)).astype(float) @ x",
        "np.take(x, [-1, 0])", "np.take_along_axis(A, i[:, None], axis=1)", "np.take_along_axis(A, i[None], 0)",
        "np.where(m[i], x, 0.0)", "A[i[::2]]", "x[i[0]]", "np.where(i[i] == 1, x, 2.0)",
        "i * x", "x @ i", "i.astype(float) * x", "x * i.astype(int)", "np.arange(3) * x",
        "np.where(i == 1, x, 2.0)", "np.where(1 != i, x, 2.0)", "np.where(i > 0, x, i)",
        "np.where(np.equal(i, [0, 1, 1]), x, 0.0)", "np.where(np.not_equal(np.arange(3), i), x, 0.0)",
        "np.where(i[:, None] == np.arange(3), A, 0.0)", "np.where(m, x, 0.0)", "np.where(m[:, None], A, x)",
        "np.where(m[1], x, 2 * x)", "np.where(m.reshape(3, 1).T, A, 0.0)", "np.where((A > x).T, A, 0.0)",
        "np.where(np.ravel(A > x)[::3], x, 1.0)",
        "np.where(m & (x > 0) & MASK, x, 0.0)", "np.where(MASK | m | (i == 2), x, 0.0)", "np.where(~m, x, A)",
        "np.sort(x) * A", "np.sort(A, axis=0) * x", "np.sort(T, None)[::2]",
        "np.take_along_axis(A, np.argsort(A, axis=1), 1)", "x[np.argmax(x)] * x", "A[A.argmin(0), [0, 1, 2]] * x",
        "np.any(x > 0) * x", "np.where(np.all(A > -1, axis=0), x, A)", "np.where((A > 1).any(axis=1), x, 0.0)",
        "np.all(np.any(T > 0, axis=(0, 2)), keepdims=True) * x", "m.all() * x",
        "np.where(np.logical_and(m, x > 0), x, 0.0)", "np.where(np.logical_or(m, x > 0), x, 0.0)",
        "np.where(np.logical_not(A > x), A, 0.0)", "np.where(np.bitwise_and(m, x < 0), x, 0.0)",
        "np.where(np.bitwise_or(m, x < 0), x, 0.0)", "np.where(np.invert(m), x, 0.0)",
        "m * x", "x**2 * MASK", "A * np.tril(np.ones((3, 3), dtype=bool))", "x * (x > 0)", "(x > 0) * x", "1 - (A > x)",
        "x * ~m + 2 * m", "A @ (x > 0)", "x * np.sum(x > 0)", "x * np.mean(m)", "x * np.multiply(x > 0, 2)",
        "(x > 0).astype(float) * x", "A * (A > x).astype(np.float32)", "np.where((x > 0).astype(bool), x, 0.0)",
        "x * True", "x * np.bool_(True)", "np.where(np.bool_(False), x, 2 * x)", "x / np.maximum(m, 2.0)",
        "np.concatenate([x, m])", "np.where(m, x, MASK)",
    ],
    "shapes": [
        "x * np.ones_like(x)", "x + np.zeros_like(A)", "np.full_like(x, 0.5) * x", "x * len(x)", "x * x.size",
        "x * np.size(A)", "x * np.ndim(A)", "x * np.shape(A)[0]", "x * A.shape[1]", "sum(row @ x for row in A)",
        "sum(x)", "np.stack([a * b for a, b in zip(x, A)])",
    ],
}  # fmt: skip
EVERY = [expression for several in EXPRESSIONS.values() for expression in several]


def loss_of(expression: str):
    return eval(f"lambda A, x, s, T, i, m: np.sum({expression}) * s", globals())


@pytest.mark.parametrize("expression", EVERY)
def test_recorded_losses_compute_the_same_as_numpy(expression: str) -> None:
    rng = np.random.default_rng(0)
    inputs = {name: np.asarray(rng.normal(size=shape)) for name, shape in EVERY_SHAPE.items()}
    inputs |= {"i": np.array([0, 2, 1]), "m": np.array([True, False, True])}
    loss = loss_of(expression)
    graph = record(loss, EVERY_SHAPE, KINDS)
    everything = graph.watching_all()
    interpreted = InterpretedGraph(json.loads(everything.json()))
    ops = Operations({**PRIMITIVES, "stop_gradient": lambda a: a}, lambda *_: 0.0)
    got = interpreted.loss(ops, **inputs, **graph.constants)
    assert np.allclose(got, loss(**inputs), rtol=1e-13, atol=0)
    computed = {name: np.shape(value) for name, value in ops.values.items()}
    assert computed == {name: everything.nodes[place].shape for name, place in everything.watched.items()}


def test_every_function_is_tried() -> None:
    written = " ".join(EVERY)
    names = {f"np.{name}" for name in UFUNCS} - {f"np.{name}" for name in OF_SCIPY} | {
        f".{function.__name__}(" for function in FUNCTIONS
    }
    assert sorted(name for name in names if name not in written) == []


REFUSED = {
    "math.exp(s)": "no entries while it is recorded: .*np.sqrt instead of math.sqrt",
    "float(s)": "no entries while it is recorded",
    "(x if s > 0 else -x)": "no truth value .*: write np.where",
    "max(x, 0)": "write np.where|np.maximum",
    "x.__setitem__(0, 1.0)": "cannot be replaced: write np.concatenate",
    "np.zeros(3).__setitem__(0, s)": "a NumPy array cannot hold a value of the problem: write np.stack",
    "np.asarray(x)": "leave np.asarray out: inputs are arrays",
    "np.array([s, s])": "write np.stack or np.concatenate",
    "np.exp(x, out=np.zeros(3))": "np.exp: no argument 'out': expected np.exp\\(a\\)",
    "np.sum(x, dtype=np.float32)": "np.sum: called with .*dtype=.*; leave dtype out: --dtype says",
    "np.fft.fft(x)": "np.fft.fft: no word of the vocabulary stands for it: docs/vocabulary.md lists",
    "np.heaviside(x, 0)": "np.heaviside: write np.where",
    "np.add.reduce(x)": "np.add.reduce: write np.sum",
    "x.astype(np.float32)": "no .astype: leave it out: --dtype says",
    "x.dtype": "no .dtype",
    "x.tolist()": "no .tolist",
    "(x == 0)": "operator ==: expected integers that sample gives on one side; write > or >= inside np.where",
    "T @ A": r"operator @: shapes \(2, 3, 4\) and \(3, 3\) do not fit: expected 4 rows on the right",
    "T @ np.reshape(T, (3, 4, 2))": r"do not fit: expected \(2,\) and \(3,\) to have equal sizes, or 1, from the right",
    "np.einsum(A, [0, 1], x, [1])": "np.einsum: expected subscripts first",
    "np.einsum('ij,jk', A, x)": "np.einsum: 'ij,jk': 'jk' has 2 labels, its operand the shape",
    "np.pad(x, 1, 'edge')": "np.pad: mode='edge': write np.concatenate of pieces",
    "A @ s": r"do not fit: expected vectors and matrices; write a \* b",
    "x[x > 0]": "write np.where",
    "x[m]": "write np.where",
    "x * (m + MASK)": "got a condition and a condition: expected numbers; write np.where\\(condition, 1.0, 0.0\\)",
    "x * -m": "got a condition: expected numbers; write np.where\\(condition, 1.0, 0.0\\), or combine conditions",
    "np.where(i, x, 0.0)": "expected a condition: a comparison",
    "np.sum(x, axis=1)": "np.sum: no axis 1",
    "np.transpose(T, (0, 1))": r"np.permute_dims: the axes are \(0, 1\): expected each axis of shape \(2, 3, 4\) once",
    "s[0]": "too many indices",
    "len(s)": "len of a scalar",
}


@pytest.mark.parametrize("expression", REFUSED)
def test_a_refusal_has_the_line_and_what_to_write_instead(expression: str) -> None:
    with pytest.raises(RecordingError, match=REFUSED[expression]) as caught:
        record(loss_of(expression), EVERY_SHAPE, KINDS)
    assert "ops." not in str(caught.value)


def in_place(A, x, s, T):
    y = x * 2
    z = y
    y += 1
    return np.sum(z * y)


def counted(A, x, s, T):
    total = 0.0
    for row in A:
        total += np.sum(row * x)
    return total


def test_an_array_is_not_changed_in_place_and_a_number_may_be() -> None:
    with pytest.raises(RecordingError, match=r"changes an array in place: write a = a \+ b") as caught:
        record(in_place, SHAPES)
    assert str(caught.value).startswith(f"{__file__}:{in_place.__code__.co_firstlineno + 3}: ")
    assert record(counted, SHAPES).nodes[-1].word == "add"


def decorated(function):
    @functools.wraps(function)
    def within(*arguments, **named):
        return function(*arguments, **named)

    return within


def plain(A, x, s, T):
    def inner(y):
        hidden = np.tanh(y)
        return hidden * 1

    y = A @ x
    several = [np.sum(row) for row in A]
    z = inner(y) + several[0]
    return np.sum(z) * s


def test_the_variables_of_the_loss_are_watched_also_where_it_is_decorated() -> None:
    assert list(record(plain, SHAPES).watched) == ["y", "z"]
    assert list(record(decorated(plain), SHAPES).watched) == ["y", "z"]


def test_a_profiler_of_the_caller_continues() -> None:
    profile = cProfile.Profile()
    profile.enable()
    try:
        before = sys.getprofile()
        record(plain, SHAPES)
        assert sys.getprofile() is before
    finally:
        profile.disable()


def test_math_works_on_shapes_and_numbers() -> None:
    assert record(lambda A, x, s, T: np.sum(x) / math.sqrt(x.shape[0]), SHAPES).nodes
