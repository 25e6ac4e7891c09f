"""The page on functions in PyTorch is the table."""

from __future__ import annotations

from pathlib import Path

from gradcheck.graphs.torch_documentation import page

PAGE = Path(__file__).parents[2] / "docs" / "torch.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m gradcheck.graphs.torch_documentation > docs/torch.md"
