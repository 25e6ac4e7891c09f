"""The page on functions in JAX is the table."""

from __future__ import annotations

from pathlib import Path

from gradcheck.graphs.jax_documentation import page

PAGE = Path(__file__).parents[2] / "docs" / "jax.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m gradcheck.graphs.jax_documentation > docs/jax.md"
