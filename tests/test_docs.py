"""The documentation's site: each page is in its navigation, links lead to pages, generated pages are up to date."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import commands, notebook, records, website

ROOT = Path(__file__).parents[1]
NAVIGATION = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
GENERATED = {"commands.md": ("tools.commands", commands.page), "json.md": ("tools.records", records.page)}


def pages(navigation: list[dict[str, Any]]) -> Iterator[str]:
    for entry in navigation:
        for target in entry.values():
            yield from pages(target) if isinstance(target, list) else [target]


def test_each_page_is_in_the_navigation_once() -> None:
    assert sorted(pages(NAVIGATION)) == sorted(each for each in website.places().values() if each.endswith(".md"))


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    module, page = GENERATED[name]
    assert (ROOT / "docs" / name).read_text() == page(), f"run: python -m {module} > docs/{name}"


@pytest.mark.parametrize("source", [each for each, place in website.places().items() if place.endswith(".md")])
def test_a_page_links_to_files_of_the_site(source: str) -> None:
    text = (ROOT / source).read_text()
    page = notebook.markdown(json.loads(text)) if source.endswith(".ipynb") else text
    there = website.rewritten(page, source, website.places())
    assert len(website.LINK.findall(there)) == len(website.LINK.findall(page))


def test_the_notebook_shows_its_outputs_and_no_folder_of_a_user() -> None:
    text = (ROOT / "docs" / "tutorials" / "notebook.ipynb").read_text()
    shown = notebook.markdown(json.loads(text))
    for expected in (
        "mine: differs (proved): dL/dW",
        "'wrong formula'",
        "<td>mine</td>",
        "<img ",
        "again: gradcheck run ~/",
    ):
        assert expected in shown, "run: python -m tools.notebook"
    without_pictures = re.sub(r"data:image/png;base64,[^\"]*", "", shown)
    assert not re.search(r"(?<![\w~<.:/])/\w[\w.-]*/\w|\x1b", without_pictures), "a path from the root, or a colour"


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("README.md", "docs/math.md#rules", "math.md#rules"),
        ("docs/records.md", "../SECURITY.md", "SECURITY.md"),
        ("examples/README.md", "../docs/protocol.md", "../protocol.md"),
        ("docs/torch.md", "math.md", "math.md"),
        ("CONTRIBUTING.md", "README.md", "index.md"),
        ("docs/jax.md", "#functions", "#functions"),
        ("docs/jax.md", "https://example.org/docs/math.md", "https://example.org/docs/math.md"),
    ],
)
def test_links_hold_in_the_site(source: str, link: str, expected: str) -> None:
    assert website.rewritten(f"[a]({link})", source, website.places()) == f"[a]({expected})"


def test_a_link_to_what_the_site_lacks_is_an_error() -> None:
    with pytest.raises(website.BrokenLinkError, match=r"docs/torch.md links to ../tools/mutants.py: expected a"):
        website.rewritten("[a](../tools/mutants.py)", "docs/torch.md", website.places())


def test_what_a_page_loads_from_elsewhere_is_found() -> None:
    page = '<script src="https://a.org/b.js"></script><link rel="stylesheet" href="//c.org/d.css"><img src="e.png">'
    assert len(website.loaded_from_elsewhere(page + '<a href="https://f.org">g</a><script src="h.js"></script>')) == 2
