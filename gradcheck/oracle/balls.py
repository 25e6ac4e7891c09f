"""The tape in Arb balls: every value with a proved radius, at any precision, with exponents that cannot overflow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from gradcheck.oracle.enclosure import Enclosure
from gradcheck.oracle.operations import Array, Shape
from gradcheck.oracle.operations.products import OUTER
from gradcheck.oracle.tape import Key, Tape, TapeNode, entries_of

NARROW = 2.0**-30
"""The radius of a ball, in units of 1 or its value, up to which a step without a value there counts as undefined."""


class Steps:
    """The steps of a walk. What no later step takes is dropped: balls are large, and a long recursion has millions.

    Outer products are made where they are taken, and sums of them as one matrix product: then they never exist at once.

    Args:
        tape: the program, at these inputs.
        inputs: name -> array, exact.
    """

    def __init__(self, tape: Tape, inputs: Mapping[str, Array]) -> None:
        self._tape = tape
        self._inputs = inputs
        self._results: dict[int, Array] = {}
        self._matrices: dict[int, dict[tuple[int, Shape], arb_mat]] = {}
        self._done: dict[int, list[int]] = {}
        for index, last in enumerate(_last_uses(tape)):
            self._done.setdefault(last, []).append(index)

    def take(self, index: int) -> None:
        """Take a step, the one after the last."""
        for done in self._done.get(index - 1, ()):
            self._results.pop(done, None)
            self._matrices.pop(done, None)
        if not _is_outer(self._tape.nodes[index]):
            self._results[index] = self._result(self._tape.nodes[index])

    def result(self, index: int) -> Array:
        """The result of a step taken, an object array of balls."""
        node = self._tape.nodes[index]
        return self._result(node) if _is_outer(node) else self._results[index]

    def operands(self, node: TapeNode) -> list[Array]:
        """What a step takes."""
        return [self.result(operand) for operand in node.operands]

    def _result(self, node: TapeNode) -> Array:
        if node.operation is None:
            entries = entries_of(node, self._inputs)
            return entries.astype(object) if node.decides else _exact(entries)
        if node.operation.name == "matmul":
            return self._product(node)
        if node.operation.name == "accumulate":
            return self._sum(node)
        result = (node.operation.ball or node.operation.value)(*self.operands(node))
        if not node.operands:
            return _exact(result)
        return result if isinstance(result, np.ndarray) else _scalar(result)

    def _sum(self, node: TapeNode) -> Array:
        outer = [each for each in map(self._tape.nodes.__getitem__, node.operands) if _is_outer(each)]
        others = [each for each in node.operands if not _is_outer(self._tape.nodes[each])]
        summands = [self.result(each) for each in others]
        if outer:
            left, right = (np.array(vectors) for vectors in zip(*map(self.operands, outer), strict=True))
            summands.append(_entries([_matrix(left.T) * _matrix(right)], node.shape))
        return np.asarray(reduce(np.add, summands))

    def _product(self, node: TapeNode) -> Array:
        left, right = node.operands
        batch = np.broadcast_shapes(self.result(left).shape[:-2], self.result(right).shape[:-2])
        products = [self._kept(left, place, 0) * self._kept(right, place, 1) for place in np.ndindex(batch)]
        return _entries(products, node.shape)

    def _kept(self, index: int, place: Shape, axis: int) -> arb_mat:
        """A matrix of an operand as Arb has it. They are kept: this costs more than a product does.

        Args:
            index: of the operand.
            place: of the matrix among those of the result.
            axis: the unit axis that a vector gets.
        """
        balls = self.result(index)
        if balls.ndim == 1:
            balls = np.expand_dims(balls, axis)
        sizes = balls.shape[:-2]
        own = tuple(
            0 if size == 1 else each for each, size in zip(place[len(place) - len(sizes) :], sizes, strict=True)
        )
        kept = self._matrices.setdefault(index, {})
        key = (balls.shape[-1], own)  # a vector is a row on one side and a column on the other
        if key not in kept:
            kept[key] = _matrix(balls[own])
        return kept[key]


def _last_uses(tape: Tape) -> list[int]:
    """The last step that takes the result of each step; the end for outputs.

    An outer product takes its operands when it is taken itself.
    """
    last = list(range(len(tape.nodes)))
    for index, node in enumerate(tape.nodes):
        for operand in node.operands:
            last[operand] = index
    for index in tape.outputs.values():
        last[index] = len(tape.nodes)
    for index, node in enumerate(tape.nodes):
        if _is_outer(node):
            for operand in node.operands:
                last[operand] = max(last[operand], last[index])
    return last


def _is_outer(node: TapeNode) -> bool:
    return node.operation is OUTER


def _matrix(balls: Array) -> arb_mat:
    rows, columns = balls.shape
    return arb_mat(rows, columns, balls.ravel().tolist())


def _entries(matrices: Sequence[arb_mat], shape: Shape) -> Array:
    return np.array([entry for each in matrices for entry in each.entries()], dtype=object).reshape(shape)


def walk(tape: Tape, inputs: Mapping[str, Array], bits: int) -> dict[Key, Array]:
    """Evaluate a tape in ball arithmetic.

    Args:
        tape: the program.
        inputs: arrays of float64, float32 or float16, taken as exact.
        bits: of the midpoints.

    Returns:
        Object arrays of Arb balls for every output.
    """
    tape = tape.at(inputs)
    steps = Steps(tape, inputs)
    with ctx.workprec(bits):
        for index in range(len(tape.nodes)):
            steps.take(index)
        return {key: steps.result(index) for key, index in tape.outputs.items()}


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
    steps = Steps(tape, inputs)
    with ctx.workprec(bits):
        for index, node in enumerate(tape.nodes):
            steps.take(index)
            result, operands = steps.result(index), steps.operands(node)
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
