"""The adjoints of symmetric matrices, of which only the effect on symmetric changes is known (docs/math.md, R35)."""

from __future__ import annotations

from functools import lru_cache

from gradcheck.oracle.tape import Key, Tape, TapeNode

SYMMETRIC = ("cholesky",)
"""Operations on a matrix that is symmetric: engines read its lower part, its symmetric part, or all of it."""
EACH_ENTRY = frozenset({"watch", "add", "sub", "neg", "mul", "div", "exp", "log", "sqrt", "square", "power"})
"""Operations on entries that make symmetric matrices of symmetric ones, and a number beside each."""
OF_BATCHES = frozenset({"reshape", "broadcast_to"})
"""Operations that make an array of symmetric matrices of another one where the last two axes keep their lengths."""


@lru_cache(maxsize=64)  # every answer to a problem asks again
def symmetric_outputs(tape: Tape) -> frozenset[Key]:
    """The adjoints and gradients of matrices that only such operations use, directly or entry by entry."""
    users: dict[int, list[int]] = {}
    for index, node in enumerate(tape.nodes):
        for operand in node.operands:
            users.setdefault(operand, []).append(index)
    first = max((index for (kind, _), index in tape.outputs.items() if kind in ("value", "loss")), default=-1)
    found: set[int] = set()
    for index in range(first, -1, -1):
        uses = [user for user in users.get(index, ()) if user <= first]
        if uses and all(_hands_symmetry_back(tape, index, tape.nodes[user], user in found) for user in uses):
            found.add(index)
    names = {index: name for (kind, name), index in tape.outputs.items() if kind == "value"}
    adjoints: set[Key] = {("adjoint", names[index]) for index in found if index in names}
    inputs: set[Key] = {("gradient", tape.nodes[index].name) for index in found if tape.nodes[index].operation is None}
    return frozenset((adjoints | inputs) & tape.outputs.keys())


def _hands_symmetry_back(tape: Tape, index: int, user: TapeNode, known: bool) -> bool:
    """Whether a step takes a matrix as symmetric, or makes one of its entries that is taken so."""
    name = "" if user.operation is None else user.operation.name
    if name in SYMMETRIC:
        return True
    others = [tape.nodes[operand].shape[-2:] for operand in user.operands if operand != index]
    beside = name in OF_BATCHES or name in ("add", "sub") or all(set(shape) <= {1} for shape in others)
    kept = tape.nodes[index].shape[-2:] == user.shape[-2:]
    return known and name in EACH_ENTRY | OF_BATCHES and beside and kept
