"""The words that a loss may use and the operators between its values, by name; `words/` fills both."""

from __future__ import annotations

from typing import Any, Protocol


class DeclaredWord(Protocol):
    """A word or an operator; see `words.declaration.Word`."""

    name: str
    symbol: str
    rule: Any

    @property
    def signature(self) -> str:
        """Its spelling, with its parameters."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Record it."""


VOCABULARY: dict[str, DeclaredWord] = {}
"""The words in a problem's ``ops``."""

OPERATORS: dict[str, DeclaredWord] = {}
"""The operators of a problem's values, by the names of Python's `operator` module; "index" for a[i, j:k]."""
