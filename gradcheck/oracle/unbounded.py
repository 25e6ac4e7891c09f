"""Why an output has no finite bound: the step at which the first bound was lost (docs/math.md, W12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradcheck.oracle.chains import overflows_reordered
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, may_overflow
from gradcheck.oracle.tape import Key, Tape, TapeNode
from gradcheck.oracle.walks import Walk, whole

OVERFLOW = "an intermediate value may overflow"
WIDE = "its bound grew too wide"
OPEN = "rounding errors leave open in which order entries are"
OF_MATRICES = {"cholesky": 0, "congruence": 1, "inv": 0, "slogdet": 0, "solve": 0, "solve_triangular": 0}
"""Steps of linear algebra -> which operand is their matrix."""


def why_unbounded(tape: Tape, inputs: Mapping[str, Array], format: Format, key: Key) -> str:
    """Whether overflow is possible before an output, by values and typical errors, or its bound only grew.

    Args:
        tape: of the problem.
        inputs: name -> array, exact.
        format: of the backend.
        key: an output whose bound is infinite somewhere.
    """
    behind = _behind(tape, tape.outputs[key])
    walk = Walk(tape, inputs, Arithmetic.float64(format))
    for index in walk.steps():
        is_integer = index in behind and tape.nodes[index].kind == "integer"
        if is_integer and whole(walk.results[index]).worst is not None:
            return f"{OPEN}{_line(tape.nodes[index])}"
        operation = tape.nodes[index].operation
        if index in behind and operation is not None and not operation.compares:
            operands = [whole(walk.results[operand]) for operand in tape.nodes[index].operands]
            result = whole(walk.results[index])
            if overflows_reordered(format, operation, result):
                return OVERFLOW
            if may_overflow(format, operation, result, operands).any():
                return OVERFLOW
            if _is_lost(result) and not any(map(_is_lost, operands)):
                return f"{WIDE}, in {operation.name}{_conditioning(operation.name, operands)}"
    return WIDE


def _line(node: TapeNode) -> str:
    """The user's line that wrote a step, if it is known."""
    return f" ({node.place})" if node.place else ""


def _conditioning(name: str, operands: Sequence[Quantity]) -> str:
    """The largest condition number of the matrices with which a step of linear algebra computes; else nothing."""
    place = OF_MATRICES.get(name)
    if place is None or not np.isfinite(operands[place].float64).all():
        return ""
    return f" of a matrix with condition number {np.max(np.linalg.cond(operands[place].float64)):.2g}"


def _behind(tape: Tape, index: int) -> set[int]:
    """The nodes that a node needs, with itself."""
    needed = {index}
    for each in range(index, -1, -1):
        if each in needed:
            needed.update(tape.nodes[each].sources)
    return needed


def _is_lost(quantity: Quantity) -> bool:
    return quantity.worst is not None and not np.isfinite(quantity.worst).all()
