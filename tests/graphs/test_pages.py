"""The pages on PyTorch and JAX are the tables of the front ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.graphs.documentation import TABLES, page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("framework", TABLES)
def test_the_page_is_up_to_date(framework: str) -> None:
    command = f"python -m gradcheck.graphs.documentation {framework} > docs/{framework}.md"
    assert (DOCS / f"{framework}.md").read_text() == page(framework), f"run: {command}"
