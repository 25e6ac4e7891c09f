"""Random losses as data, and a reverse mode over them that shares nothing with the oracle.

The same table of words works on NumPy arrays, where it is a correct hand-written backend, and on object arrays of Arb
balls, where it is the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.words import WORDS
from benchmarks.words.declaration import BOOLEANS, FLOATS, INTEGERS, Array, in_balls, is_exact

Shape = tuple[int, ...]
Key = tuple[str, str | None]
"""Kind and name of an output: ("value", name), ("loss", None), ("adjoint", name) or ("gradient", name)."""

SIZES = (1, 2, 3, 5)
FEWEST_STEPS, MOST_STEPS = 3, 14
MOST_ENTRIES, MOST_AXES = 150, 4
"""Of a value."""
KEPT_IN_DOMAIN = 0.97
"""The share of steps whose operand is brought into the domain first; the others may make NaN."""
WATCHED = 0.4
"""The share of steps that are watched."""
TRIES = 40
"""How many operands are drawn for a word before another word is drawn."""


@dataclass(frozen=True)
class Input:
    """An input of a loss: floats, or integers below `bound`, or booleans."""

    shape: Shape
    kind: str = FLOATS
    bound: int = 0

    @property
    def sample(self) -> str:
        """How a problem's file draws it, if it has a structure."""
        return (
            f"rng.integers({self.bound}, size={self.shape})" if self.bound else f"rng.uniform(size={self.shape}) < 0.6"
        )

    @property
    def typical(self) -> Array:
        """An array to find out the shapes of results: the largest integers, and floats in the domain of words."""
        if self.kind == FLOATS:
            return np.full(self.shape, 0.5)
        return np.full(self.shape, self.bound - 1 if self.bound else True)


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

    inputs: Mapping[str, Input]
    steps: tuple[Step, ...]
    summed: tuple[int, ...]

    @property
    def source(self) -> str:
        """The file of the problem."""
        names = [*self.inputs, *(f"v{number}" for number in range(len(self.steps)))]
        lines = ['"""A random loss."""', "", "", "def inputs(k):"]
        lines += [f"    return { ({name: given.shape for name, given in self.inputs.items()})!r}", "", ""]
        if structured := [f"{name!r}: {x.sample}" for name, x in self.inputs.items() if x.kind != FLOATS]:
            lines += ["def sample(rng, k):", f"    return {{{', '.join(structured)}}}", "", ""]
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

    def floats_of(self, step: Step) -> list[int]:
        """The positions of a step's operands that have a gradient."""
        return [position for position, kind in enumerate(WORDS[step.word].operands) if kind == FLOATS]


@dataclass(frozen=True)
class Fault:
    """An error to plant: the contribution of a step to one of its operands is multiplied by 1 + `relative`."""

    step: int
    operand: int
    relative: float


def evaluate(program: Program, inputs: Mapping[str, Array], fault: Fault | None = None) -> dict[Key, Array]:
    """The loss, the gradients, the watched values and their adjoints.

    Args:
        program: the loss.
        inputs: arrays of floats of one dtype, or object arrays of Arb balls; and of integers or booleans.
        fault: an error to plant in the reverse pass.

    Raises:
        Tie: branches tie, so that more than one gradient is right.
    """
    exact = any(is_exact(array) for array in inputs.values())
    values = list(inputs.values())
    for step in program.steps:
        value = WORDS[step.word].value(step.attribute, *(values[each] for each in step.operands))
        values.append(in_balls(value) if exact else np.asarray(value))
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
            if part is None:
                continue
            if fault and (fault.step, fault.operand) == (number, position):
                part = part * (1 + fault.relative)
            summed = summed_to(part, np.shape(values[operand]))
            adjoints[operand] = adjoints[operand] + (in_balls(summed) if exact else summed)
    watched = [first + number for number, step in enumerate(program.steps) if step.watched]
    return {
        **{("value", program.name(each)): values[each] for each in watched},
        ("loss", None): np.asarray(loss),
        **{("adjoint", program.name(each)): np.asarray(adjoints[each]) for each in reversed(watched)},
        **{
            ("gradient", name): np.asarray(adjoint)
            for (name, given), adjoint in zip(program.inputs.items(), adjoints, strict=False)
            if given.kind == FLOATS
        },
    }


def balls(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs as exact Arb balls; integers and booleans as they are."""
    return {name: in_balls(array) if array.dtype.kind == FLOATS else array for name, array in inputs.items()}


def summed_to(array: Array, shape: Shape) -> Array:
    """A gradient summed over the axes along which its operand was broadcast."""
    array = np.asarray(array)
    array = array.sum(axis=tuple(range(array.ndim - len(shape)))) if array.ndim > len(shape) else array
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and np.shape(array)[axis] != 1)
    return np.asarray(np.sum(array, axis=stretched, keepdims=True) if stretched else array)


def draw(rng: np.random.Generator) -> Program:
    """A random program: of inputs, steps that may share operands, and every unused value in the loss."""
    inputs = drawn_inputs(rng)
    found = [given.typical for given in inputs.values()]
    steps: list[Step] = []
    with np.errstate(all="ignore"):
        for _ in range(rng.integers(FEWEST_STEPS, MOST_STEPS + 1)):
            for step in drawn(rng, found):
                steps.append(step)
                found.append(result(step, found))
    used = {operand for step in steps for operand in step.operands}
    unused = (each for each, value in enumerate(found) if each not in used and value.dtype.kind == FLOATS)
    return Program(inputs, tuple(steps), tuple(unused))


def drawn_inputs(rng: np.random.Generator) -> dict[str, Input]:
    """One to three arrays of floats, and perhaps one of integers and one of booleans."""
    n, m, p = (int(size) for size in rng.choice(SIZES, 3))
    shapes = [(), (n,), (n, m), (m, n), (n, n), (p, n, m), (p, m, n)]
    inputs = {name: Input(shapes[rng.integers(len(shapes))]) for name in "ABC"[: rng.integers(1, 4)]}
    if rng.random() < 0.5:
        inputs["I"] = Input(shapes[rng.integers(1, 4)], INTEGERS, min(int(rng.choice(SIZES)), 3))
    if rng.random() < 0.3:
        inputs["M"] = Input(shapes[rng.integers(4)], BOOLEANS)
    return inputs


def drawn(rng: np.random.Generator, found: Sequence[Array]) -> Iterator[Step]:
    """A random step on existing values, mostly on the latest ones; with the steps that must precede it."""
    names = list(WORDS)
    step = None
    while step is None:
        step = fitted(rng, names[rng.integers(len(names))], found)
    before = WORDS[step.word].before
    if before and rng.random() < KEPT_IN_DOMAIN:
        yield Step(before, step.operands, None, bool(rng.random() < WATCHED))
        step = Step(step.word, (len(found) - 1,), step.attribute, step.watched)  # the caller has added it
    yield step


def fitted(rng: np.random.Generator, name: str, found: Sequence[Array]) -> Step | None:
    """A step of a word on operands that fit; None if none of those drawn does."""
    word = WORDS[name]
    of_kind = {kind: [each for each, value in enumerate(found) if value.dtype.kind == kind] for kind in word.operands}
    if not all(of_kind.values()):
        return None
    for _ in range(TRIES):
        attribute = word.attributes[int(rng.integers(len(word.attributes)))]
        operands = tuple(of_kind[kind][-int(rng.geometric(0.4)) % len(of_kind[kind])] for kind in word.operands)
        step = Step(name, operands, attribute, bool(rng.random() < WATCHED))
        try:
            value = result(step, found) if word.fits(attribute, *(found[each] for each in operands)) else None
        except (ValueError, IndexError):  # shapes that do not fit
            continue
        if value is not None and 0 < value.size <= MOST_ENTRIES and value.ndim <= MOST_AXES:
            return step
    return None


def result(step: Step, found: Sequence[Array]) -> Array:
    """An array of the shape of a step's result."""
    value = WORDS[step.word].value(step.attribute, *(found[each] for each in step.operands))
    return np.full(np.shape(value), 0.5)
