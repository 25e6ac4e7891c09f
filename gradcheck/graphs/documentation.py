"""The pages on PyTorch and JAX, from the tables of their operators.

`python -m gradcheck.graphs.documentation torch > docs/torch.md`, and the same with `jax`.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from gradcheck.graphs import jax, jax_reasons, jax_rows, torch, torch_reasons, torch_rows

TABLES = {
    # framework -> what its operators are called, those with a row, and the reasons of those without
    "torch": ("operators", [*torch_rows.ROWS, torch.CONVERSION], torch_reasons.REASONS),
    "jax": ("primitives", [*jax_rows.ROWS, jax.CONVERSION], jax_reasons.REASONS),
}


def page(framework: str) -> str:
    """The page of a framework."""
    called, rows, without = TABLES[framework]
    reasons: dict[str, list[str]] = {}
    for name, reason in without.items():
        reasons.setdefault(reason, []).append(name)
    lines = [
        Path(__file__).with_name(f"{framework}_documentation.md.txt").read_text(encoding="utf-8"),
        f"## {called.capitalize()} with a row\n",
        textwrap.fill(_code(sorted(rows)), 120, break_long_words=False, break_on_hyphens=False),
        f"\n## {called.capitalize()} without a row\n",
        f"| {called} | why |",
        "| --- | --- |",
        *(f"| {_code(names)} | {reason} |" for reason, names in reasons.items()),
    ]
    return "\n".join(lines) + "\n"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name.removeprefix('aten.').removesuffix('.default')}`" for name in names)


if __name__ == "__main__":
    print(page(sys.argv[1]), end="")
