"""Random losses as data, and a reverse mode over them that shares nothing with the oracle.

The same table of words works on NumPy arrays, where it is a correct hand-written backend, and on object arrays of Arb
balls, where it is the truth: NumPy calls the methods of the entries of an object array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Key = tuple[str, str | None]
"""Kind and name of an output: ("value", name), ("loss", None), ("adjoint", name) or ("gradient", name)."""

SIZES = (1, 2, 3, 5)
# Numbers that no binary fraction holds are among them: an engine rounds these to its dtype.
EXPONENTS = (2, 3, -1, 0.5, -0.5, 0.1, 0.3, -0.7, 1.7, 2.4)
NUMBERS = (0.5, -2.0, 0.1, 1.7, 3.0)
FEWEST_STEPS, MOST_STEPS = 3, 14
KEPT_IN_DOMAIN = 0.97
"""The share of steps whose operand is brought into the domain first; the others may make NaN."""
WATCHED = 0.4
"""The share of steps that are watched."""


@dataclass(frozen=True)
class Word:
    """One word of the vocabulary.

    Attributes:
        text: how a problem's file spells it, with the operands as {0}, {1}, … and the attribute as {n}.
        value: (attribute, *operands) -> result.
        gradients: (attribute, gradient, result, *operands) -> the operands' gradients, which may have the result's
            shape.
        fits: shapes of the operands -> whether they fit.
        attributes: the possible attributes.
        before: the word that usually precedes it, so that the operand is in the domain.
    """

    text: str
    value: Callable[..., Array]
    gradients: Callable[..., Sequence[Array]]
    fits: Callable[..., bool] = lambda *_: True
    attributes: Sequence[Any] = (None,)
    before: str | None = None

    @property
    def operands(self) -> int:
        """How many there are."""
        return 2 if "{1}" in self.text else 1


@dataclass(frozen=True)
class Step:
    """A word, its operands (numbers of values: inputs first, then steps), its attribute, and whether it is watched."""

    word: str
    operands: tuple[int, ...]
    attribute: Any
    watched: bool


@dataclass(frozen=True)
class Program:
    """A random loss: inputs, steps, and the values whose squares it sums."""

    inputs: Mapping[str, Shape]
    steps: tuple[Step, ...]
    summed: tuple[int, ...]

    @property
    def source(self) -> str:
        """The file of the problem."""
        names = [*self.inputs, *(f"v{number}" for number in range(len(self.steps)))]
        lines = ['"""A random loss."""', "", "", "def inputs(k):", f"    return {dict(self.inputs)!r}", "", ""]
        lines.append(f"def loss(ops, {', '.join(self.inputs)}):")
        for number, step in enumerate(self.steps):
            text = WORDS[step.word].text.format(*(names[each] for each in step.operands), n=repr(step.attribute))
            lines.append(
                f'    v{number} = ops.watch("v{number}", {text})' if step.watched else f"    v{number} = {text}"
            )
        lines.append(f"    return {' + '.join(f'ops.sum({names[each]} * {names[each]})' for each in self.summed)}")
        return "\n".join(lines) + "\n"

    def name(self, value: int) -> str | None:
        """The name of a value in an answer: of an input, or of a watched step."""
        if value < len(self.inputs):
            return list(self.inputs)[value]
        number = value - len(self.inputs)
        return f"v{number}" if self.steps[number].watched else None


@dataclass(frozen=True)
class Fault:
    """An error to plant: the contribution of a step to one of its operands is multiplied by 1 + `relative`."""

    step: int
    operand: int
    relative: float


class Tie(Exception):
    """Two branches are equally right."""


def evaluate(program: Program, inputs: Mapping[str, Array], fault: Fault | None = None) -> dict[Key, Array]:
    """The loss, the gradients, the watched values and their adjoints.

    Args:
        program: the loss.
        inputs: arrays of floats of one dtype, or object arrays of Arb balls.
        fault: an error to plant in the reverse pass.
    """
    values = list(inputs.values())
    for step in program.steps:
        values.append(np.asarray(WORDS[step.word].value(step.attribute, *(values[each] for each in step.operands))))
    loss = sum(np.sum(values[each] * values[each]) for each in program.summed)
    adjoints: list[Any] = [np.zeros_like(value) for value in values]
    for each in program.summed:
        adjoints[each] = adjoints[each] + 2 * values[each]
    first = len(inputs)
    for number in reversed(range(len(program.steps))):
        step, adjoint, result = program.steps[number], adjoints[first + number], values[first + number]
        operands = [values[each] for each in step.operands]
        parts = WORDS[step.word].gradients(step.attribute, np.asarray(adjoint), result, *operands)
        for position, (operand, part) in enumerate(zip(step.operands, parts, strict=True)):
            if fault and (fault.step, fault.operand) == (number, position):
                part = part * (1 + fault.relative)
            adjoints[operand] = adjoints[operand] + summed_to(part, np.shape(values[operand]))
    watched = [first + number for number, step in enumerate(program.steps) if step.watched]
    return {
        **{("value", program.name(each)): values[each] for each in watched},
        ("loss", None): np.asarray(loss),
        **{("adjoint", program.name(each)): np.asarray(adjoints[each]) for each in reversed(watched)},
        **{("gradient", name): np.asarray(adjoint) for name, adjoint in zip(inputs, adjoints, strict=False)},
    }


def balls(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs as exact Arb balls."""
    return {
        name: np.asarray(np.frompyfunc(lambda x: arb(float(x)), 1, 1)(array), object)  # of a scalar it comes bare
        for name, array in inputs.items()
    }


def summed_to(array: Array, shape: Shape) -> Array:
    """A gradient summed over the axes along which its operand was broadcast."""
    array = np.asarray(array)
    array = array.sum(axis=tuple(range(array.ndim - len(shape)))) if array.ndim > len(shape) else array
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and np.shape(array)[axis] != 1)
    return np.asarray(np.sum(array, axis=stretched, keepdims=True) if stretched else array)


def draw(rng: np.random.Generator) -> Program:
    """A random program: of one to three inputs, steps that may share operands, and every unused value in the loss."""
    n, m = rng.choice(SIZES, 2)
    shapes = [(), (int(n),), (int(n), int(m)), (int(m), int(n)), (int(n), int(n))]
    inputs = {name: shapes[rng.integers(len(shapes))] for name in "ABC"[: rng.integers(1, 4)]}
    found = [shape_of(shape) for shape in inputs.values()]
    steps: list[Step] = []
    with np.errstate(all="ignore"):
        for _ in range(rng.integers(FEWEST_STEPS, MOST_STEPS + 1)):
            for step in drawn(rng, found):
                steps.append(step)
                found.append(WORDS[step.word].value(step.attribute, *(found[each] for each in step.operands)))
    used = {operand for step in steps for operand in step.operands}
    return Program(inputs, tuple(steps), tuple(each for each in range(len(found)) if each not in used))


def drawn(rng: np.random.Generator, found: Sequence[Array]) -> Iterator[Step]:
    """A random step on existing values, mostly on the latest ones; with the steps that must precede it."""
    names = list(WORDS)
    while True:
        name = names[rng.integers(len(names))]
        word = WORDS[name]
        operands = tuple(int(each) for each in len(found) - 1 - rng.geometric(0.4, word.operands) % len(found))
        shapes = [found[each].shape for each in operands]
        if word.fits(*shapes) and (word.operands == 1 or name in PRODUCTS or broadcasts(*shapes)):
            break
    if word.before and rng.random() < KEPT_IN_DOMAIN:
        yield Step(word.before, operands, None, bool(rng.random() < WATCHED))
        operands = (len(found) - 1,)  # the caller has added it
    attribute = word.attributes[int(rng.integers(len(word.attributes)))]
    yield Step(name, operands, attribute, bool(rng.random() < WATCHED))


def broadcasts(*shapes: Shape) -> bool:
    """Whether shapes fit."""
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def shape_of(shape: Shape) -> Array:
    """An array of a shape, to find out that of a result."""
    return np.full(shape, 0.5)


def chosen(a: Array, b: Any, yes: Array, no: Array) -> Array:
    """`yes` where a > b, else `no`.

    Raises:
        Tie: balls leave it open: then more than one gradient is right.
    """
    greater = np.asarray(a > b, bool)
    if np.asarray(a).dtype == object and not np.all(greater | np.asarray(a < b, bool)):
        raise Tie
    return np.where(greater, yes, no)


def nothing(like: Array) -> Array:
    """The gradient of an unselected branch: 0, and in floats 0 times its gradient, as in engines."""
    return np.asarray(0 * like) if like.dtype != object else np.full(like.shape, arb(0))


def _sigmoid(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


def _softplus(a: Array) -> Array:
    return np.asarray(chosen(a, 0, a, nothing(a)) + np.log1p(np.exp(-np.abs(a))))


def _exponentials(a: Array) -> Array:
    return np.asarray(np.exp(a - np.max(a, axis=-1, keepdims=True)))


def _softmax(a: Array) -> Array:
    shares = _exponentials(a)
    return np.asarray(shares / np.sum(shares, axis=-1, keepdims=True))


def _logsumexp(a: Array) -> Array:
    return np.asarray(np.max(a, axis=-1) + np.log(np.sum(_exponentials(a), axis=-1)))


def _power(a: Array, p: float) -> Array:
    return np.asarray(a ** (p if a.dtype != object else arb(p)))


def _power_gradient(g: Array, a: Array, p: float) -> Array:
    """In Arb p − 1 is as exact as p."""
    exact = p if a.dtype != object else arb(p)
    return np.asarray(g * (exact * np.asarray(a ** (exact - 1))))


def _largest_gradient(g: Array, v: Array, a: Array) -> Array:
    largest = ~np.asarray(a < v[..., None], bool)
    if a.dtype == object and np.any(np.sum(largest, axis=-1) > 1):
        raise Tie
    count = np.sum(largest, axis=-1, keepdims=True).astype(g.dtype)
    return np.where(largest, g[..., None] / count, nothing(a))


def _matrix(a: Shape, b: Shape) -> bool:
    return len(a) == 2 and len(b) in (1, 2) and a[1] == b[0]


def _axis(a: Shape) -> bool:
    return len(a) > 0


def _entrywise(name: str, derivative: Callable[[Array, Array], Array], before: str | None = None) -> Word:
    """A smooth function: `derivative(a, value)`."""
    function = getattr(np, name)
    return Word(
        f"ops.{name}({{0}})",
        lambda _n, a: np.asarray(function(a)),
        lambda _n, g, v, a: (g * derivative(a, v),),
        before=before,
    )


POSITIVE = "√(·² + ¼)"
PRODUCTS = ("@", "outer")
WORDS: dict[str, Word] = {
    "+": Word("{0} + {1}", lambda _n, a, b: a + b, lambda _n, g, _v, a, b: (g, g)),
    "-": Word("{0} - {1}", lambda _n, a, b: a - b, lambda _n, g, _v, a, b: (g, -g)),
    "*": Word("{0} * {1}", lambda _n, a, b: a * b, lambda _n, g, _v, a, b: (g * b, g * a)),
    "/": Word("{0} / ({1} * {1} + 0.5)", lambda _n, a, b: a / (b * b + 0.5),
              lambda _n, g, v, a, b: (g / (b * b + 0.5), -2 * (g * b) * (v / (b * b + 0.5)))),
    "· number": Word("{0} * {n}", lambda n, a: a * n, lambda n, g, _v, a: (g * n,), attributes=NUMBERS),
    "+ number": Word("{0} + {n}", lambda n, a: a + n, lambda n, g, _v, a: (g,), attributes=NUMBERS),
    "**": Word("{0} ** {n}", lambda p, a: _power(a, p), lambda p, g, _v, a: (_power_gradient(g, a, p),),
               attributes=EXPONENTS, before=POSITIVE),
    POSITIVE: Word("ops.sqrt({0} * {0} + 0.25)", lambda _n, a: np.sqrt(a * a + 0.25),
                   lambda _n, g, v, a: (g * (a / v),)),
    "exp": _entrywise("exp", lambda a, v: v),
    # Far below zero engines lose the digits of v + 1: a finding of its own (tests/conformance/findings.py).
    "expm1": _entrywise("expm1", lambda a, v: v + 1, before="tanh"),
    "log": _entrywise("log", lambda a, v: 1 / a, before=POSITIVE),
    "log1p": _entrywise("log1p", lambda a, v: 1 / (1 + a), before=POSITIVE),
    "sqrt": _entrywise("sqrt", lambda a, v: 0.5 / v, before=POSITIVE),
    "tanh": _entrywise("tanh", lambda a, v: 1 - v * v),
    "sin": _entrywise("sin", lambda a, v: np.cos(a)),
    "cos": _entrywise("cos", lambda a, v: -np.sin(a)),
    "abs": Word("ops.abs({0})", lambda _n, a: np.abs(a), lambda _n, g, v, a: (chosen(a, 0, g, -g),)),
    "sigmoid": Word("ops.sigmoid({0})", lambda _n, a: _sigmoid(a), lambda _n, g, v, a: (g * (v * (1 - v)),)),
    "softplus": Word("ops.softplus({0})", lambda _n, a: _softplus(a), lambda _n, g, v, a: (g * _sigmoid(a),)),
    "relu": Word("ops.relu({0})", lambda _n, a: chosen(a, 0, a, nothing(a)),
                 lambda _n, g, v, a: (chosen(a, 0, g, nothing(g)),)),
    "maximum": Word("ops.maximum({0}, {1})", lambda _n, a, b: chosen(a, b, a, b),
                    lambda _n, g, v, a, b: (chosen(a, b, g, nothing(g)), chosen(a, b, nothing(g), g))),
    "where": Word("ops.where({0} > {n}, {0}, {1})", lambda n, a, b: chosen(a, n, a, b),
                  lambda n, g, v, a, b: (chosen(a, n, g, nothing(g)), chosen(a, n, nothing(g), g)), attributes=NUMBERS),
    "sum": Word("ops.sum({0}, axis=-1)", lambda _n, a: np.sum(a, axis=-1),
                lambda _n, g, v, a: (g[..., None] + nothing(a),), _axis),
    "sum of all": Word("ops.sum({0})", lambda _n, a: np.sum(a), lambda _n, g, v, a: (g + nothing(a),)),
    "mean": Word("ops.mean({0}, axis=-1, keepdims=True)", lambda _n, a: np.sum(a, axis=-1, keepdims=True) / a.shape[-1],
                 lambda _n, g, v, a: (g / a.shape[-1] + nothing(a),), _axis),
    "max": Word("ops.max({0}, axis=-1)", lambda _n, a: np.max(a, axis=-1),
                lambda _n, g, v, a: (_largest_gradient(g, v, a),), _axis),
    "logsumexp": Word("ops.logsumexp({0}, axis=-1)", lambda _n, a: _logsumexp(a),
                      lambda _n, g, v, a: (g[..., None] * _softmax(a),), _axis),
    "softmax": Word("ops.softmax({0})", lambda _n, a: _softmax(a),
                    lambda _n, g, v, a: (v * (g - np.sum(g * v, axis=-1, keepdims=True)),), _axis),
    "@": Word("{0} @ {1}", lambda _n, a, b: a @ b,
              lambda _n, g, v, a, b: (np.multiply.outer(g, b) if b.ndim == 1 else g @ b.T, a.T @ g), _matrix),
    "outer": Word("ops.outer({0}, {1})", lambda _n, a, b: np.multiply.outer(a, b),
                  lambda _n, g, v, a, b: (g @ b, g.T @ a), lambda a, b: len(a) == len(b) == 1),
    "transpose": Word("{0}.T", lambda _n, a: a.T, lambda _n, g, v, a: (g.T,), lambda a: len(a) == 2),
    "reshape": Word("ops.reshape({0}, ({0}.shape[0] * {0}.shape[1],))", lambda _n, a: a.reshape(-1),
                    lambda _n, g, v, a: (g.reshape(a.shape),), lambda a: len(a) == 2),
    "[::2]": Word("{0}[::2]", lambda _n, a: a[::2], lambda _n, g, v, a: (_placed(g, a),), _axis),
    "concatenate": Word("ops.concat([{0}, {1}], axis=0)", lambda _n, a, b: np.concatenate([a, b]),
                        lambda _n, g, v, a, b: (g[: len(a)], g[len(a) :]), lambda a, b: len(a) > 0 and a == b),
    "stop_gradient": Word("{0} * ops.stop_gradient({0})", lambda _n, a: a * a, lambda _n, g, v, a: (g * a,)),
}  # fmt: skip
"""The vocabulary, each word as a random loss uses it."""


def _placed(g: Array, a: Array) -> Array:
    whole = nothing(a)
    whole[::2] = g
    return whole
