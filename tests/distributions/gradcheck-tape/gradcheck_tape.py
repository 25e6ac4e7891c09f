"""Reverse mode on a tape: each result keeps its operands, and how its gradient becomes theirs."""

import math
import operator
from functools import partial
from typing import TYPE_CHECKING

from gradcheck.backends import Answer, Engine, Operations

if TYPE_CHECKING:
    import numpy as np

MODULE = DISTRIBUTION = "numpy"
RELEASE = "2.4.6"
REQUIREMENTS = ()
PYTHON = ((3, 9), None)
FORMATS = {"float64": {}, "float32": {}, "float16": {}}
LACKS = {"bfloat16": "NumPy has no bfloat16"}


def compared(compare):
    """A comparison, whose result is a plain array of truth values."""
    return lambda self, other: compare(self.value, self.tape.variable(other).value)


def reflected(method):
    """An operator whose left operand is a number."""
    return lambda self, other: method(self.tape.variable(other), self)


class Variable:
    """An array on a tape.

    Attributes:
        value: the array.
        pulls: pairs of an operand and a function: the gradient of this variable -> the operand's share of it.
        gradient: the loss's derivatives with respect to it, or None where the loss does not depend on it.
    """

    __array_ufunc__ = None  # with NumPy's numbers on the left, Python calls its operators

    def __init__(self, tape, value, pulls):
        self.tape, self.value, self.pulls, self.gradient = tape, value, pulls, None
        self.shape, self.ndim = value.shape, value.ndim

    @property
    def T(self):  # noqa: N802 (as NumPy spells it)
        return self.tape.record(self.value.T, (self, lambda g: g.T))

    def __getitem__(self, index):
        def pull(g):
            whole = np.zeros_like(self.value)
            np.add.at(whole, index, g)
            return whole

        return self.tape.record(self.value[index], (self, pull))

    def __neg__(self):
        return self.tape.record(-self.value, (self, lambda g: -g))

    def __add__(self, other):
        other = self.tape.variable(other)
        return self.tape.record(self.value + other.value, (self, lambda g: g), (other, lambda g: g))

    def __sub__(self, other):
        return self + -self.tape.variable(other)

    def __mul__(self, other):
        other = self.tape.variable(other)
        a, b = self.value, other.value
        return self.tape.record(a * b, (self, lambda g: g * b), (other, lambda g: g * a))

    def __truediv__(self, other):
        other = self.tape.variable(other)
        b, quotient = other.value, self.value / other.value
        return self.tape.record(quotient, (self, lambda g: g / b), (other, lambda g: -g * (quotient / b)))

    def __pow__(self, p):
        a = self.value
        if not isinstance(p, (int, float)):
            other = self.tape.variable(p)
            b, power = other.value, a**other.value
            return self.tape.record(
                power, (self, lambda g: g * (b * a ** (b - 1))), (other, lambda g: g * (power * np.log(a)))
            )
        return self.tape.record(a**p, (self, lambda g: g * (p * a ** (p - 1 if p else 0))))

    def __matmul__(self, other):
        """The product of vectors and matrices: a vector on the left is a row, one on the right a column."""
        other = self.tape.variable(other)
        a, b = np.atleast_2d(self.value), other.value
        b = b[:, np.newaxis] if other.ndim == 1 else b

        def between(g):
            return g.reshape((a @ b).shape)

        left = (self, lambda g: summed(between(g) @ b.swapaxes(-1, -2), a.shape).reshape(self.shape))
        right = (other, lambda g: summed(a.swapaxes(-1, -2) @ between(g), b.shape).reshape(other.shape))
        return self.tape.record(self.value @ other.value, left, right)

    __radd__, __rmul__ = __add__, __mul__
    __rsub__, __rtruediv__, __rmatmul__ = map(reflected, (__sub__, __truediv__, __matmul__))
    __rpow__ = reflected(__pow__)
    __gt__, __ge__, __lt__, __le__ = map(compared, (operator.gt, operator.ge, operator.lt, operator.le))
    __eq__, __ne__ = map(compared, (operator.eq, operator.ne))
    __hash__ = object.__hash__


def relu(a):
    return np.maximum(a, 0)


def sigmoid(a):
    decay = np.exp(-np.abs(a))  # never overflows
    return np.where(a < 0, decay, 1) / (1 + decay)


def softplus(a):
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


def rsqrt(a):
    return 1 / np.sqrt(a)


def erf(a):
    return np.reshape([math.erf(entry) for entry in a.ravel()], a.shape).astype(a.dtype)


def erfc(a):
    return np.reshape([math.erfc(entry) for entry in a.ravel()], a.shape).astype(a.dtype)


OWN_FUNCTIONS = {function.__name__: function for function in (relu, sigmoid, softplus, rsqrt, erf, erfc)}
INVERSE = ("asin", "acos", "atan", "asinh", "acosh", "atanh")
SLOPES = {
    "exp": lambda a, v: v,
    "log": lambda a, v: 1 / a,
    "log1p": lambda a, v: 1 / (1 + a),
    "expm1": lambda a, v: np.exp(a),  # v + 1 has no digits of it far below zero
    "sqrt": lambda a, v: 0.5 / v,
    "rsqrt": lambda a, v: -0.5 * v * v * v,
    "square": lambda a, v: 2 * a,
    "abs": lambda a, v: np.sign(a),
    "tanh": lambda a, v: 1 - v * v,
    "sigmoid": lambda a, v: v * (1 - v),
    "softplus": lambda a, v: sigmoid(a),
    "relu": lambda a, v: np.sign(v),
    "sin": lambda a, v: np.cos(a),
    "cos": lambda a, v: -np.sin(a),
    "exp2": lambda a, v: v * math.log(2),
    "log2": lambda a, v: 1 / (a * math.log(2)),
    "log10": lambda a, v: 1 / (a * math.log(10)),
    "tan": lambda a, v: 1 + v * v,
    "sinh": lambda a, v: np.cosh(a),
    "cosh": lambda a, v: np.sinh(a),
    "atan": lambda a, v: 1 / (1 + a * a),
    "asin": lambda a, v: 1 / np.sqrt(1 - a * a),
    "acos": lambda a, v: -1 / np.sqrt(1 - a * a),
    "asinh": lambda a, v: 1 / np.sqrt(1 + a * a),
    "acosh": lambda a, v: 1 / np.sqrt(a * a - 1),
    "atanh": lambda a, v: 1 / (1 - a * a),
    **{name: lambda a, v: 0 * a for name in ("sign", "floor", "ceil", "round")},
    "erfc": lambda a, v: -2 / math.sqrt(math.pi) * np.exp(-a * a),
    "erf": lambda a, v: 2 / math.sqrt(math.pi) * np.exp(-a * a),
}
"""Functions of single entries -> their derivative, from the argument a and the value v."""
MOVES = {
    "reshape": lambda a, shape: np.reshape(a, shape),
    "permute_dims": lambda a, axes: np.transpose(a, axes),
    "matrix_transpose": lambda a: np.swapaxes(a, -1, -2),
    "moveaxis": lambda a, source, destination: np.moveaxis(a, source, destination),
    "expand_dims": lambda a, axis=0: np.expand_dims(a, axis),
    "squeeze": lambda a, axis: np.squeeze(a, axis),
    "broadcast_to": lambda a, shape: np.broadcast_to(a, shape),
    "flip": lambda a, axis=None: np.flip(a, axis),
    "roll": lambda a, shift, axis=None: np.roll(a, shift, axis),
    "tile": lambda a, repetitions: np.tile(a, repetitions),
    "repeat": lambda a, repeats, axis=None: np.repeat(a, repeats, axis),
    "diagonal": lambda a, offset=0: np.diagonal(a, offset, -2, -1),
}
WORDS = (
    *("astype", "matmul", "vecdot", "outer", "concat", "stack", "where", "maximum", "stop_gradient"),
    *("any", "all", "sort", "gather", "take", "take_along_axis", "one_hot", "at_add"),
    *("sum", "mean", "max", "logsumexp", "softmax", "log_softmax"),
    *("minimum", "clip", "silu", "gelu", "log_sigmoid", "leaky_relu", "elu"),
)


class Tape:
    """The result of a computation, in a dtype and in that order."""

    def __init__(self, dtype):
        self.dtype, self.variables = dtype, []

    def words(self):
        return {
            **{name: partial(self.moved, move) for name, move in MOVES.items()},
            **{name: partial(self.function, name) for name in SLOPES},
            **{name: getattr(self, name) for name in WORDS},
        }

    def variable(self, a):
        """A variable as it is, and a number or a plain array as one."""
        return a if isinstance(a, Variable) else self.record(a)

    def record(self, value, *pulls):
        self.variables.append(Variable(self, np.asarray(value, self.dtype), pulls))
        return self.variables[-1]

    def walk_back(self, loss):
        """Find the gradients of all that the loss was made of."""
        loss.gradient = np.ones_like(loss.value)
        for variable in reversed(self.variables):
            if variable.gradient is not None:
                for operand, pull in variable.pulls:
                    share = summed(pull(variable.gradient), operand.shape)
                    operand.gradient = share if operand.gradient is None else operand.gradient + share

    def function(self, name, a):
        a = self.variable(a)
        compute = OWN_FUNCTIONS.get(name) or getattr(np, f"arc{name[1:]}" if name in INVERSE else name)
        value = compute(a.value)
        return self.record(value, (a, lambda g: g * SLOPES[name](a.value, value)))

    def matmul(self, a, b):
        return self.variable(a) @ b

    def astype(self, a):
        return self.record(a)

    def any(self, a, axis=None, keepdims=False):
        return np.any(a, axis, keepdims=keepdims)

    def all(self, a, axis=None, keepdims=False):
        return np.all(a, axis, keepdims=keepdims)

    def sort(self, a, axis=-1, descending=False):
        a = self.variable(a)
        order = np.argsort(a.value, axis, kind="stable")
        return self.take_along_axis(a, np.flip(order, axis) if descending else order, axis)

    def gather(self, a, *indices, axis=0):
        return a[(slice(None),) * axis + indices]

    def take(self, a, indices, axis=0):
        return self.gather(a, indices, axis=axis % a.ndim)

    def take_along_axis(self, a, indices, axis=-1):
        grids = list(np.ix_(*map(np.arange, a.shape)))
        grids[axis] = indices
        return a[tuple(grids)]

    def one_hot(self, indices, num_classes):
        return self.record(np.eye(num_classes)[indices])

    def at_add(self, a, *operands):
        a, b, indices = self.variable(a), self.variable(operands[-1]), operands[:-1]
        value = a.value.copy()
        np.add.at(value, indices, b.value)
        return self.record(value, (a, lambda g: g), (b, lambda g: g[indices]))

    def outer(self, a, b):
        return self.moved(MOVES["reshape"], self.variable(a), (-1, 1)) * b

    def moved(self, move, a, *places, **axes):
        """Entries at other places, some perhaps at several: `move` tells where by the numbers of all entries."""
        if not isinstance(a, Variable):  # truth values and integers
            return move(a, *places, **axes)
        taken = move(np.arange(a.value.size).reshape(a.shape), *places, **axes)

        def pull(g):
            whole = np.zeros(a.value.size, self.dtype)
            np.add.at(whole, taken, g)
            return whole.reshape(a.shape)

        return self.record(a.value.ravel()[taken], (a, pull))

    def vecdot(self, a, b, axis=-1):
        return self.sum(self.variable(a) * b, axis)

    def stack(self, arrays, axis=0):
        return self.concat([self.moved(MOVES["expand_dims"], self.variable(a), axis) for a in arrays], axis)

    def concat(self, arrays, axis=0):
        arrays = [self.variable(a) for a in arrays]
        ends = np.cumsum([a.shape[axis] for a in arrays])[:-1]
        pulls = [(a, lambda g, i=i: np.split(g, ends, axis)[i]) for i, a in enumerate(arrays)]
        return self.record(np.concatenate([a.value for a in arrays], axis), *pulls)

    def where(self, condition, a, b):
        a, b = self.variable(a), self.variable(b)
        return self.chosen(np.where(condition, a.value, b.value), condition, a, b)

    def maximum(self, a, b):
        a, b = self.variable(a), self.variable(b)
        return self.chosen(np.maximum(a.value, b.value), a.value >= b.value, a, b)

    def minimum(self, a, b):
        return -self.maximum(-self.variable(a), -self.variable(b))

    def clip(self, a, min=None, max=None):
        above = a if min is None else self.maximum(a, min)
        return above if max is None else self.minimum(above, max)

    def silu(self, a):
        return self.variable(a) * self.function("sigmoid", a)

    def gelu(self, a, approximate=False):
        a = self.variable(a)
        if approximate:
            bent = self.function("tanh", math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))
        else:
            bent = self.function("erf", a * math.sqrt(0.5))
        return 0.5 * a * (1 + bent)

    def log_sigmoid(self, a):
        return -self.function("softplus", -self.variable(a))

    def leaky_relu(self, a, negative_slope=0.01):
        a = self.variable(a)
        return self.where(a > 0, a, negative_slope * a)

    def elu(self, a, alpha=1.0):
        a = self.variable(a)
        return self.where(a > 0, a, alpha * self.function("expm1", self.minimum(a, 0)))

    def chosen(self, value, first, a, b):
        """A value whose entries are those of a where `first` holds, else those of b."""
        return self.record(value, (a, lambda g: np.where(first, g, 0)), (b, lambda g: np.where(first, 0, g)))

    def stop_gradient(self, a):
        return self.record(self.variable(a).value)

    def sum(self, a, axis=None, keepdims=False):
        a = self.variable(a)
        return self.reduced(a, np.sum(a.value, axis, keepdims=True), np.ones_like(a.value), axis, keepdims)

    def mean(self, a, axis=None, keepdims=False):
        a = self.variable(a)
        mean = np.mean(a.value, axis, keepdims=True)
        return self.reduced(a, mean, np.full_like(a.value, mean.size / a.value.size), axis, keepdims)

    def max(self, a, axis=None, keepdims=False):
        a = self.variable(a)
        largest = np.max(a.value, axis, keepdims=True)
        ties = (a.value == largest).astype(self.dtype)
        return self.reduced(a, largest, ties / np.sum(ties, axis, keepdims=True), axis, keepdims)

    def logsumexp(self, a, axis=None, keepdims=False):
        a = self.variable(a)
        largest = np.max(a.value, axis, keepdims=True)
        value = largest + np.log(np.sum(np.exp(a.value - largest), axis, keepdims=True))
        return self.reduced(a, value, np.exp(a.value - value), axis, keepdims)

    def reduced(self, a, value, slope, axis, keepdims):
        """The result of an array along axes that stay, and its derivative with respect to each entry."""
        result = value if keepdims else np.squeeze(value, axis)
        return self.record(result, (a, lambda g: g.reshape(value.shape) * slope))

    def softmax(self, a, axis=-1):
        a = self.variable(a)
        exponentials = np.exp(a.value - np.max(a.value, axis, keepdims=True))
        shares = exponentials / np.sum(exponentials, axis, keepdims=True)
        return self.record(shares, (a, lambda g: (g - np.sum(g * shares, axis, keepdims=True)) * shares))

    def log_softmax(self, a, axis=-1):
        a = self.variable(a)
        shifted = a.value - np.max(a.value, axis, keepdims=True)
        value = shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True))
        return self.record(value, (a, lambda g: g - np.exp(value) * np.sum(g, axis, keepdims=True)))


def summed(g, shape):
    """The sum of a gradient over the axes along which an operand of that shape was repeated."""
    g = np.sum(g, axis=tuple(range(np.ndim(g) - len(shape))))
    return np.sum(g, axis=tuple(axis for axis, length in enumerate(shape) if length == 1), keepdims=True)


class TapeEngine(Engine):
    """The tape as a backend."""

    version = "1.0"

    def evaluate(self, graph, inputs, wrt, dtype):
        tape = Tape(dtype)
        leaves = {name: tape.record(array) if array.dtype.kind == "f" else array for name, array in inputs.items()}
        ops = Operations(tape.words(), lambda _, value: tape.record(np.zeros(tape.variable(value).shape)))
        with np.errstate(all="ignore"):  # overflows are visible in the answer
            loss = tape.variable(graph.loss(ops, **leaves))
            tape.walk_back(loss)
        return Answer(
            loss.value,
            gradients={name: gradient(leaves[name]) for name in wrt},
            values={name: variable.value for name, variable in ops.values.items()},
            adjoints={name: gradient(zeros) for name, zeros in ops.offsets.items()},
        )


def gradient(variable):
    """A variable's gradient, zeros where the loss does not depend on it."""
    return np.zeros_like(variable.value) if variable.gradient is None else variable.gradient


def load():
    """Import NumPy: gradcheck reads the constants above without it."""
    global np
    import numpy as np

    return TapeEngine()
