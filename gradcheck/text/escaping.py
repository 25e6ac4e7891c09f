"""Text from elsewhere for display: on one line, and without control characters."""

from __future__ import annotations

import os
import shlex
from typing import Any


def escaped(text: str) -> str:
    """A text with every unprintable character in Python's notation, the end of a line as \\n.

    These are control characters, marks that change the direction of text, and bytes of a path that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def quoted(words: list[str]) -> str:
    """A command in a shell's notation; a word with unprintable characters has the form $'...'."""
    return " ".join(shlex.quote(word) if word.isprintable() else _in_ansi_quotes(word) for word in words)


def as_argument(path: str | os.PathLike[str]) -> str:
    """A path in a form that is not an option."""
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text


def from_here(path: str) -> str:
    """A path from the current folder if it is absolute and below that folder; any other text as it is."""
    if not path.startswith(os.sep):
        return path
    below = os.path.relpath(path)
    return path if below.startswith(os.pardir) else below


def _in_ansi_quotes(word: str) -> str:
    return "$'" + "".join(_for_shell(character) for character in word) + "'"


def _for_shell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def all_escaped(value: Any) -> Any:
    """Nested lists and mappings with every text, and every name, escaped."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {all_escaped(name): all_escaped(each) for name, each in value.items()}
    return [all_escaped(each) for each in value] if isinstance(value, (list, tuple)) else value
