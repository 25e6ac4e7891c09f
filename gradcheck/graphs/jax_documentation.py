"""docs/jax.md, from the table of JAX's primitives: `python -m gradcheck.graphs.jax_documentation > docs/jax.md`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from gradcheck.graphs.jax import CONVERSION, FILES
from gradcheck.graphs.jax_reasons import REASONS
from gradcheck.graphs.jax_rows import ROWS

TEXT = Path(__file__).with_name("jax_documentation.md.txt")


def page() -> str:
    """The page."""
    assert FILES, "they have filled the table"
    reasons: dict[str, list[str]] = {}
    for name, reason in REASONS.items():
        reasons.setdefault(reason, []).append(name)
    without = [f"| {_code(names)} | {reason} |" for reason, names in reasons.items()]
    lines = [
        TEXT.read_text(encoding="utf-8"),
        "## Primitives with a row\n",
        textwrap.fill(_code(sorted([*ROWS, CONVERSION])), 120, break_long_words=False, break_on_hyphens=False),
        "\n## Primitives without a row\n",
        "| primitives | why |",
        "| --- | --- |",
        *without,
    ]
    return "\n".join(lines) + "\n"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(page(), end="")
