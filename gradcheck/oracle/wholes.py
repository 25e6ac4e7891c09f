"""Sums in which shares of a gradient add up to one, so that no convention at a tie changes them (docs/math.md, R21)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gradcheck.oracle.analysis import Output, analyse
from gradcheck.oracle.formats import Format
from gradcheck.oracle.operations import Array
from gradcheck.oracle.operations.places import WHOLE, Index, has_arrays
from gradcheck.oracle.operations.shares import OTHER_SHARE, OWN_SHARE
from gradcheck.oracle.operations.wholes import whole_of
from gradcheck.oracle.tape import ADJOINT, Key, Tape, TapeNode


class TiedSum(NamedTuple):
    """A sum over outputs whose value is known for any shares.

    Attributes:
        word: the word with the tie.
        keys: the outputs in the sum.
        axes: the axes along which each of them is summed; they stay as unit axes.
        output: the analysis of the sum.
    """

    word: str
    keys: tuple[Key, ...]
    axes: tuple[int, ...]
    output: Output


class _Part(NamedTuple):
    """A contribution to an output: its sign, its node, and where it lies in the output."""

    sign: int
    node: int
    place: Index = WHOLE


class _Sum(NamedTuple):
    """A sum to analyse: outputs, axes, and the contributions to their sum, with shares combined."""

    word: str
    keys: tuple[Key, ...]
    axes: tuple[int, ...]
    parts: Sequence[_Part]


def wholes(tape: Tape, inputs: Mapping[str, Array], format: Format) -> Iterator[TiedSum]:
    """The sums of gradients and adjoints that are known although entries tie.

    Args:
        tape: of the problem.
        inputs: name -> array, exact.
        format: of the backend.
    """
    sums = [*_along_axes(tape), *_of_pairs(tape)]
    if not sums:
        return
    nodes, outputs = list(tape.nodes), dict[Key, int]()
    for number, each in enumerate(sums):
        shape = tape.nodes[tape.outputs[each.keys[0]]].shape
        signs, indices = [part.sign for part in each.parts], [part.place for part in each.parts]
        operation = whole_of(signs, each.axes, shape, len(each.keys), indices)
        operands = tuple(part.node for part in each.parts)
        outputs["whole", str(number)] = len(nodes)
        nodes.append(TapeNode(operation, operands, operation.shape(*(nodes[index].shape for index in operands))))
    analysis = analyse(replace(tape, nodes=tuple(nodes), outputs=outputs), inputs, format)
    for each, key in zip(sums, outputs, strict=True):
        yield TiedSum(each.word, each.keys, each.axes, analysis[key])


def _outputs(tape: Tape) -> Iterator[tuple[Key, list[_Part]]]:
    """Gradients and adjoints with their contributions, all of one shape or pieces of it."""
    for key, index in tape.outputs.items():
        if key[0] in ("gradient", "adjoint"):
            parts = list(_parts(tape, index))
            whole = [part for part in parts if part.place is WHOLE]
            several = any(has_arrays(part.place) for part in parts)  # may have an entry several times
            if not several and all(tape.nodes[part.node].shape == tape.nodes[index].shape for part in whole):
                yield key, parts


def _parts(tape: Tape, index: int, sign: int = 1) -> Iterator[_Part]:
    """The terms of a node that is a sum, or one negated."""
    node = tape.nodes[index]
    name = "" if node.operation is None else node.operation.name
    places = None if node.operation is None else node.operation.places
    if places is not None:
        for operand, where in zip(node.operands, places.indices, strict=True):
            yield from _parts(tape, operand, sign) if where is WHOLE else [_Part(sign, operand, where)]
    elif node.operation is ADJOINT or name in ("add", "accumulate", "neg"):
        for operand in node.operands:
            yield from _parts(tape, operand, -sign if name == "neg" else sign)
    else:
        yield _Part(sign, index)


def _along_axes(tape: Tape) -> Iterator[_Sum]:
    """Sums over the axes of a max or a min, which pass the whole gradient on: max(a + t) = max(a) + t."""
    for key, parts in _outputs(tape):
        for axes in sorted({axes for part in parts if (axes := _axes(tape, part))}):
            ours = [part for part in parts if _axes(tape, part) == axes]
            shared = [_Part(part.sign, _handed(tape, part.node)) for part in ours]
            words = " and ".join(sorted({_word(tape, part) for part in ours}))
            yield _Sum(words, (key,), axes, [*shared, *(part for part in parts if part not in ours)])


def _axes(tape: Tape, part: _Part) -> tuple[int, ...]:
    """The axes along which a contribution shares a gradient that was copied along them; none if it does not."""
    if _word(tape, part) not in ("max", "min"):
        return ()
    spread = tape.nodes[tape.nodes[part.node].operands[1]]
    if spread.operation is None or spread.operation.name != "broadcast_to":
        return ()
    source = tape.nodes[spread.operands[0]].shape
    return tuple(axis for axis, size in enumerate(source) if size == 1) if len(source) == len(spread.shape) else ()


def _handed(tape: Tape, index: int) -> int:
    """The gradient that a node shares, before it was copied."""
    return tape.nodes[tape.nodes[index].operands[1]].operands[0]


def _word(tape: Tape, part: _Part) -> str:
    """The word of which a whole contribution is the own share; empty if it is none."""
    node = tape.nodes[part.node]
    if node.operation is not OWN_SHARE or part.place is not WHOLE:
        return ""
    decision = tape.nodes[node.operands[0]].operation
    return decision.name if decision is not None and decision.decides else ""


def _of_pairs(tape: Tape) -> Iterator[_Sum]:
    """Sums of the gradients of both operands of maximum or minimum: max(a + t, b + t) = max(a, b) + t."""
    outputs = list(_outputs(tape))
    for own_key, own in outputs:
        for other_key, other in outputs:
            same = own_key == other_key
            shared, rest, words = [], list(own if same else [*own, *other]), set[str]()
            for first in own:
                second = _counterpart(tape, first, other)
                if second is not None:
                    words.add(_word(tape, first))
                    shared.append(_Part(first.sign, tape.nodes[first.node].operands[1]))
                    rest.remove(first)
                    rest.remove(second)
            if shared:
                keys = (own_key,) if same else (own_key, other_key)
                yield _Sum(" and ".join(sorted(words)), keys, (), [*shared, *rest])


def _counterpart(tape: Tape, first: _Part, parts: Sequence[_Part]) -> _Part | None:
    """The share of the other operand of maximum or minimum, of the same sign, or None."""
    if _word(tape, first) not in ("maximum", "minimum"):
        return None
    for part in parts:
        node = tape.nodes[part.node]
        is_other = node.operation is OTHER_SHARE and node.operands == tape.nodes[first.node].operands
        if is_other and (part.sign, part.place) == (first.sign, WHOLE):
            return part
    return None
