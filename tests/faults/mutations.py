"""Data with something wrong in it: JSON documents, of which parts are replaced, and bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE_TEXTS = (
    "", "NaN", "Infinity", "-Infinity", "\x1b[2J\x1b]0;mine\x07", "[/x][bold]:smile:", "a\nagree: every backend agrees",
    "\u202e\x9b1m", "../../etc/passwd", "/dev/zero", "a" * 10_000, "\0", "exec:/bin/true", "a/b", "1e400", "0x10",
)  # fmt: skip
NUMBERS = (
    0, -0.0, 1, -1, 2**63, -(2**70), 10**400, 5e-324, 1e-200, 1e38, 1e200, 1.7976931348623157e308, float("nan"),
    float("inf"), 0.1, 65504.0, 65520.0,
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.floats(), st.integers(), st.sampled_from(HOSTILE_TEXTS),
    st.text(max_size=20).filter(lambda text: "\ud800" not in text),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(HOSTILE_TEXTS), inner, max_size=3),
    max_leaves=8,
) | st.integers(1, 200).map(lambda depth: json.loads("[" * depth + "]" * depth))
FACTORS = (-1.0, 0.0, 2.0, 1.5, 1 + 2.0**-20, 1 + 2.0**-44, 1 + 2.0**-52)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a document but the whole."""
    parts = document if isinstance(document, dict) else dict(enumerate(document)) if isinstance(document, list) else {}
    for key, part in parts.items():
        yield (*path, key)
        yield from places(part, (*path, key))


def part_at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@st.composite
def documents(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three changes: a part removed, replaced, renamed, repeated, scaled or put deeper."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            return draw(VALUES)
        *above, key = draw(st.sampled_from(found))
        parent = part_at(document, tuple(above))
        change(draw, parent, key)
    return document


def change(draw: st.DrawFn, parent: Any, key: Any) -> None:
    """Change one part of a document."""
    part = parent[key]
    ways = ["replace", "remove", "wrap"]
    ways += ["scale"] * 6 if isinstance(part, float) else []
    ways += ["rename", "add"] if isinstance(parent, dict) else ["repeat"]
    way = draw(st.sampled_from(ways))
    if way == "remove":
        del parent[key]
    elif way == "wrap":
        parent[key] = [part]
    elif way == "scale":
        parent[key] = part * draw(st.sampled_from(FACTORS))
    elif way == "rename":
        parent[draw(st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=5))] = parent.pop(key)
    elif way == "add":
        parent[draw(st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=5))] = draw(VALUES)
    elif way == "repeat":
        parent.insert(key, part)
    else:
        parent[key] = draw(VALUES)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some changed, cut off, put in or repeated."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(changed)))
        end = min(len(changed), position + draw(st.integers(0, 8)))
        way = draw(st.sampled_from(["replace", "cut", "repeat"]))
        if way == "replace":
            changed[position:end] = draw(st.binary(max_size=8))
        elif way == "cut":
            del changed[position if draw(st.booleans()) else end :]
        else:
            changed[position:position] = changed[position:end] * draw(st.integers(1, 1000))
    return bytes(changed)


def as_text(document: Any) -> bytes:
    """A document as JSON; lone surrogates and numbers that are not finite too, which are none."""
    return json.dumps(document).encode()
