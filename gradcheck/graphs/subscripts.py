"""The subscripts of einsum: a label for each axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gradcheck.graphs.graph import Shape

SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parsed(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, with letters in the place of "...".

    Args:
        subscripts: such as "bij,bjk->bik"; without "->" the result has the labels that come once, in order.
        shapes: of the operands.

    Raises:
        ValueError: they do not fit.
    """
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    labels = left.split(",")
    if len(labels) != len(shapes):
        raise ValueError(f"{subscripts!r} has {len(labels)} operands, got {len(shapes)}")
    named = [len(each.replace("...", "")) for each in labels]
    wide = max(len(shape) - count for shape, count in zip(shapes, named, strict=True)) if "..." in subscripts else 0
    spare = "".join(letter for letter in SPARE if letter not in subscripts)[:wide]
    labels = [_explicit(each, shape, spare) for each, shape in zip(labels, shapes, strict=True)]
    out = right.replace("...", spare) if arrow else _implicit(labels, spare)
    _check(subscripts, labels, out, shapes)
    return labels, out


def _explicit(labels: str, shape: Shape, spare: str) -> str:
    """The labels with as many spare ones in the place of "..." as the operand has axes for."""
    count = len(shape) - len(labels.replace("...", ""))
    return labels.replace("...", spare[len(spare) - count :] if count > 0 else "")


def _implicit(labels: Sequence[str], spare: str) -> str:
    counts = Counter("".join(labels))
    return spare + "".join(sorted(label for label, count in counts.items() if count == 1 and label not in spare))


def _check(subscripts: str, labels: Sequence[str], out: str, shapes: Sequence[Shape]) -> None:
    sizes: dict[str, int] = {}
    for each, shape in zip(labels, shapes, strict=True):
        if not each.isalpha() and each:
            raise ValueError(f"{subscripts!r}: expected letters, commas, '...' and '->'")
        if len(each) != len(shape):
            raise ValueError(f"{subscripts!r}: {each!r} has {len(each)} labels, its operand the shape {shape}")
        if len(set(each)) < len(each):
            raise ValueError(f"{subscripts!r}: {each!r} has a label twice: write ops.diagonal first")
        for label, size in zip(each, shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise ValueError(f"{subscripts!r}: {label!r} has the lengths {sizes[label]} and {size}: expected one")
    if len(set(out)) < len(out) or set(out) - set(sizes):
        raise ValueError(f"{subscripts!r}: expected each label of the result once, and in an operand")
