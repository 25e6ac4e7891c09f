"""The values of a tape in plain float64, without errors: enough to count which branches a case takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck.oracle.tape import Key, Tape, entries_of


def plain_values(tape: Tape, inputs: Mapping[str, NDArray[Any]]) -> dict[Key, NDArray[Any]]:
    """The outputs of a tape for a case, as NumPy computes them in float64; conditions are booleans.

    Args:
        tape: any.
        inputs: name -> array.
    """
    tape = tape.at(inputs)
    results: list[NDArray[Any]] = []
    with np.errstate(all="ignore"):
        for node in tape.nodes:
            if node.operation is None:
                results.append(entries_of(node, inputs))
                continue
            operands = [results[operand] for operand in node.operands]
            if not node.operation.moves:
                operands = [each if each.dtype == bool else each.astype(np.float64) for each in operands]
            results.append(np.asarray(node.operation.value(*operands)))
    return {key: results[index] for key, index in tape.outputs.items()}
