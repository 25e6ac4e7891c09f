"""Words that move and copy entries: the gradient follows from where each entry comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.words.declaration import FLOATS, INTEGERS, Array, Parts, Word, Words, numbers

Move = Callable[..., Any]


def origin(move: Move, n: Any, g: Array, a: Array, *others: Array) -> Array:
    """The gradient of what a move takes its entries from: each entry is the sum of its copies' gradients.

    The move of the numbers 1, 2, … shows which entry each one is; 0 is none, but a new zero.
    """
    places = np.asarray(move(n, 1 + np.arange(a.size).reshape(a.shape), *others))
    found = numbers(a, np.zeros(a.size + 1))
    np.add.at(found, places, g)
    return found[1:].reshape(a.shape)


def _move(
    text: str,
    move: Move,
    attributes: Sequence[Any] = (None,),
    kinds: str = "",
    lowest: int = 0,
    highest: int = 9,
) -> Word:
    """A move of the entries of an array with so many axes."""

    def gradients(n: Any, g: Array, _v: Array, a: Array, *others: Array) -> Parts:
        return origin(move, n, g, a, *others), *(None for _ in others)

    return Word(
        text,
        lambda n, a, *others: np.asarray(move(n, a, *others)),
        gradients,
        attributes,
        kinds=kinds,
        fits=lambda _n, a, *_: lowest <= a.ndim <= highest,
    )


def _along_axis(axis: int, a: Array, indices: Array) -> Array:
    """The entries at integers along an axis; the array itself is not stretched along the others.

    Raises:
        ValueError: it would be.
    """
    found = np.take_along_axis(a, indices, axis=axis)
    if np.delete(found.shape, axis).tolist() != np.delete(a.shape, axis).tolist():
        raise ValueError(f"{indices.shape} does not fit {a.shape}")
    return found


def _added(index: Array, a: Array, b: Array) -> Array:
    found = np.array(a)
    np.add.at(found, index, np.broadcast_to(b, a[index].shape))
    return found


MOVES: Words = {
    "transpose": _move("{0}.T", lambda _n, a: a.T, lowest=2, highest=2),
    "reshape": _move("ops.reshape({0}, {n})", lambda n, a: a.reshape(n), ((-1,), (1, -1), (-1, 1))),
    "permute_dims": _move("ops.permute_dims({0}, (2, 0, 1))", lambda _n, a: np.transpose(a, (2, 0, 1))),
    "matrix_transpose": _move("ops.matrix_transpose({0})", lambda _n, a: np.swapaxes(a, -1, -2), lowest=2),
    "moveaxis": _move("ops.moveaxis({0}, 0, -1)", lambda _n, a: np.moveaxis(a, 0, -1), lowest=2),
    "expand_dims": _move("ops.expand_dims({0}, axis={n})", lambda n, a: np.expand_dims(a, n), (0, -1)),
    "squeeze": _move("ops.squeeze({0}, axis=0)", lambda _n, a: np.squeeze(a, 0), lowest=1),
    "broadcast_to": _move("ops.broadcast_to({0}, (2, *{0}.shape))",
                          lambda _n, a: np.broadcast_to(a, (2, *a.shape))),
    "tile": _move("ops.tile({0}, {n})", lambda n, a: np.tile(a, n), ((2,), (2, 1), (1, 2)), lowest=1),
    "repeat": _move("ops.repeat({0}, 2, axis={n})", lambda n, a: np.repeat(a, 2, axis=n), (None, 0, -1), lowest=1),
    "flip": _move("ops.flip({0}, axis={n})", lambda n, a: np.flip(a, axis=n), (None, 0, -1)),
    "roll": _move("ops.roll({0}, {n}, axis=-1)", lambda n, a: np.roll(a, n, axis=-1), (1, -2), lowest=1),
    "pad": _move("ops.pad({0}, ((1, 2),) * {0}.ndim)", lambda _n, a: np.pad(a, ((1, 2),) * a.ndim), lowest=1),
    "tril": _move("ops.tril({0}, {n})", lambda n, a: np.tril(a, n), (0, -1, 1), lowest=2),
    "triu": _move("ops.triu({0}, {n})", lambda n, a: np.triu(a, n), (0, -1, 1), lowest=2),
    "diagonal": _move("ops.diagonal({0}, {n})", lambda n, a: np.diagonal(a, n, -2, -1), (0, 1), lowest=2),
    "[::2]": _move("{0}[::2]", lambda _n, a: a[::2], lowest=1),
    "[..., ::-1]": _move("{0}[..., ::-1]", lambda _n, a: a[..., ::-1], lowest=1),
    "[-1]": _move("{0}[-1]", lambda _n, a: a[-1], lowest=1),
    "unstack": _move("ops.unstack({0})[0]", lambda _n, a: a[0], lowest=1),
    "take": _move("ops.take({0}, {1}, axis={n})", lambda n, a, i: np.take(a, i, axis=n), (0, -1),
                  FLOATS + INTEGERS, lowest=1),
    "[indices]": _move("{0}[{1}]", lambda _n, a, i: a[i], kinds=FLOATS + INTEGERS),
    "[indices, indices]": _move("{0}[{1}, {1}]", lambda _n, a, i: a[i, i], kinds=FLOATS + INTEGERS),
    "[:, indices]": _move("{0}[:, {1}]", lambda _n, a, i: a[:, i], kinds=FLOATS + INTEGERS),
    "[list]": _move("{0}[[0, -1, 0]]", lambda _n, a: a[[0, -1, 0]], lowest=1),
    "take_along_axis": _move("ops.take_along_axis({0}, {1}, axis={n})", _along_axis, (0, -1), FLOATS + INTEGERS),
    "at_add": Word("ops.at_add({0}, {2}, {1})", lambda _n, a, b, i: _added(i, a, b),
                   lambda _n, g, v, a, b, i: (g, g[i], None), kinds=FLOATS + FLOATS + INTEGERS,
                   fits=lambda _n, a, *_: a.ndim > 0),
    "concatenate": Word("ops.concat([{0}, {1}], axis={n})", lambda n, a, b: np.concatenate([a, b], axis=n),
                        lambda n, g, v, a, b: np.split(g, [a.shape[n]], axis=n), (0, -1)),
    "stack": Word("ops.stack([{0}, {1}], axis={n})", lambda n, a, b: np.stack([a, b], axis=n),
                  lambda n, g, v, a, b: (np.take(g, 0, axis=n), np.take(g, 1, axis=n)), (0, -1)),
}  # fmt: skip
