"""The tape in Arb balls: every value with a proved radius, at any precision, with exponents that cannot overflow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from gradcheck.oracle.enclosure import Enclosure
from gradcheck.oracle.operations import Array, Shape
from gradcheck.oracle.tape import Key, Tape, TapeNode, entries_of

NARROW = 2.0**-30
"""The radius of a ball, in units of 1 or its value, up to which a step without a value there counts as undefined."""


class Steps:
    """The steps of a walk.

    Args:
        inputs: name -> array, exact.

    Attributes:
        results: of the steps taken, object arrays of balls.
    """

    def __init__(self, inputs: Mapping[str, Array]) -> None:
        self.results: list[Array] = []
        self._inputs = inputs
        self._matrices: dict[tuple[int, int, Shape], arb_mat] = {}

    def operands(self, node: TapeNode) -> list[Array]:
        """What a step takes."""
        return [self.results[operand] for operand in node.operands]

    def take(self, node: TapeNode) -> Array:
        """Take the next step, and give back its result."""
        self.results.append(self._result(node))
        return self.results[-1]

    def _result(self, node: TapeNode) -> Array:
        if node.operation is None:
            entries = entries_of(node, self._inputs)
            return entries.astype(object) if node.decides else _exact(entries)
        if node.operation.name == "matmul":
            return self._product(node)
        result = (node.operation.ball or node.operation.value)(*self.operands(node))
        if not node.operands:
            return _exact(result)
        return result if isinstance(result, np.ndarray) else _scalar(result)

    def _product(self, node: TapeNode) -> Array:
        left, right = node.operands
        batch = np.broadcast_shapes(self.results[left].shape[:-2], self.results[right].shape[:-2])
        products = [self._matrix(left, place, 0) * self._matrix(right, place, 1) for place in np.ndindex(batch)]
        entries = [entry for product in products for entry in product.entries()]
        return np.array(entries, dtype=object).reshape(node.shape)

    def _matrix(self, index: int, place: Shape, axis: int) -> arb_mat:
        """A matrix of an operand as Arb has it. They are kept: this costs more than a product does.

        Args:
            index: of the operand.
            place: of the matrix among those of the result.
            axis: the unit axis that a vector gets.
        """
        balls = self.results[index]
        if balls.ndim == 1:
            balls = np.expand_dims(balls, axis)
        sizes = balls.shape[:-2]
        own = tuple(
            0 if size == 1 else each for each, size in zip(place[len(place) - len(sizes) :], sizes, strict=True)
        )
        key = (index, balls.shape[-1], own)  # a vector is a row on one side and a column on the other
        if key not in self._matrices:
            rows, columns = balls.shape[-2:]
            self._matrices[key] = arb_mat(rows, columns, balls[own].ravel().tolist())
        return self._matrices[key]


def walk(tape: Tape, inputs: Mapping[str, Array], bits: int) -> dict[Key, Array]:
    """Evaluate a tape in ball arithmetic.

    Args:
        tape: the program.
        inputs: arrays of float64, float32 or float16, taken as exact.
        bits: of the midpoints.

    Returns:
        Object arrays of Arb balls for every output.
    """
    steps, tape = Steps(inputs), tape.at(inputs)
    with ctx.workprec(bits):
        for node in tape.nodes:
            steps.take(node)
    return {key: steps.results[index] for key, index in tape.outputs.items()}


class Enclosures(Mapping[Key, Enclosure]):
    """A tape in ball arithmetic: each output is rounded outwards to float64, unbounded beyond its range, on request.

    Few outputs of a large case need their balls, and rounding all of them takes as long as the walk.

    Args:
        tape: the program.
        inputs: as for `walk`.
        bits: of the midpoints.
    """

    def __init__(self, tape: Tape, inputs: Mapping[str, Array], bits: int) -> None:
        self._balls = walk(tape, inputs, bits)
        self._bits = bits
        self._rounded: dict[Key, Enclosure] = {}

    def __getitem__(self, key: Key) -> Enclosure:
        if key not in self._rounded:
            with ctx.workprec(self._bits):
                self._rounded[key] = _enclosure(self._balls[key])
        return self._rounded[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._balls)

    def __len__(self) -> int:
        return len(self._balls)


def undefined(tape: Tape, inputs: Mapping[str, Array], bits: int) -> str | None:
    """The first step that has no real value although its operands have one, such as `log` of −1; None: there is none.

    Exponents of balls cannot overflow, so an overflow is not such a step. If the distance of an operand from such a
    point is at most the radius of its ball, the step counts as undefined too.

    Returns:
        The step in words, with the operands there.
    """
    steps = Steps(inputs)
    with ctx.workprec(bits):
        for node in tape.nodes:
            result, operands = steps.take(node), steps.operands(node)
            lost = _not_finite(result)
            if any(_not_finite(operand).any() for operand in operands):  # an infinity of the loss itself has a value
                lost = (
                    np.zeros_like(lost)
                    if any(_has_no_value(each).any() for each in operands)
                    else _has_no_value(result)
                )
            if node.operands and lost.any():
                return _described(tape, node, operands, lost) if all(map(_is_narrow, operands)) else None
    return None


def _is_narrow(balls: Array) -> bool:
    """Whether every ball locates its value: the balls of a chaotic recursion grow until they are useless."""
    return all(ball.rad() <= NARROW * (1 + abs(ball.mid())) for ball in balls.ravel() if isinstance(ball, arb))


def _not_finite(balls: Array) -> Array:
    lost = [isinstance(ball, arb) and not ball.is_finite() for ball in balls.ravel()]
    return np.array(lost, dtype=bool).reshape(balls.shape)


def _has_no_value(balls: Array) -> Array:
    nothing = [isinstance(ball, arb) and math.isnan(float(ball.mid())) for ball in balls.ravel()]
    return np.array(nothing, dtype=bool).reshape(balls.shape)


def _described(tape: Tape, node: TapeNode, operands: list[Array], lost: Array) -> str:
    """A step that is undefined: its name, and its operands at the first entry where they are those of one entry."""
    assert node.operation is not None, "inputs are finite"
    index = tuple(map(int, np.argwhere(lost)[0]))
    where = []
    for number, balls in zip(node.operands, operands, strict=True):
        own = index[len(index) - balls.ndim :]
        is_of_one_entry = balls.ndim <= lost.ndim and all(
            size in (1, whole) for size, whole in zip(balls.shape[::-1], lost.shape[::-1], strict=False)
        )
        if not is_of_one_entry:
            continue
        own = tuple(0 if size == 1 else each for each, size in zip(own, balls.shape, strict=True))
        named = tape.nodes[number].name or next((name for _, name in tape.outputs_of.get(number, ())), None)
        value = f"{float(balls[own].mid()):.6g}" if isinstance(balls[own], arb) else str(balls[own])
        where.append(f"{named}{''.join(f'[{each}]' for each in own)} = {value}" if named else value)
    name = {"div": "a quotient", "power": "a power"}.get(node.operation.name, node.operation.name)
    return f"{name} is undefined at {', '.join(where) or 'its operands'}"


def _enclosure(balls: Array) -> Enclosure:
    parts = np.array([_parts(ball) for ball in balls.ravel()], dtype=np.float64).reshape(*balls.shape, 3)
    return Enclosure(parts[..., 0], parts[..., 1], parts[..., 2])


def _exact(array: Array) -> Array:
    values = np.asarray(array, dtype=np.float64)
    result = np.empty(values.size, dtype=object)
    result[:] = [arb(value) for value in values.ravel().tolist()]
    return result.reshape(values.shape)


def _scalar(value: Any) -> Array:
    """NumPy hands 0-d object results back bare."""
    result = np.empty((), dtype=object)
    result[()] = value
    return result


def _parts(ball: Any) -> tuple[float, float, float]:
    high = float(ball.mid())
    if not math.isfinite(high) or not ball.is_finite():
        return 0.0, 0.0, math.inf
    rest = ball - high
    low = float(rest.mid())
    return high, low, math.nextafter(float((rest - low).abs_upper()), math.inf)
