"""At any width no number is cut into another, and no row loses its label: other columns go into another table."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gradcheck import check
from gradcheck.reports import View
from gradcheck.reports._grid import Grid
from gradcheck.reports.table import parts
from gradcheck.results import Report
from tests.conftest import FAKES

NARROWEST, WIDEST = 40, 200


def printed(grid: Grid, width: int) -> list[str]:
    """The lines that are printed, without rules between names and rows."""
    stream = io.StringIO()
    grid.print(Console(file=stream, width=width, highlight=False))
    return [line for line in stream.getvalue().splitlines() if "─" not in line]


def assert_whole(grid: Grid, width: int) -> None:
    """Every word of every cell is printed as often as it is there, beside the labels, which come with each table."""
    lines = printed(grid, width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    labels = {word for cells, _ in grid.rows for cell in cells[: grid.labels] for word in cell.plain.split()}
    heads = Counter(word for name in grid.names for word in name.split())
    found = Counter(text.split())
    assert labels <= found.keys()
    expected = Counter(word for cells, _ in grid.rows for cell in cells[grid.labels :] for word in cell.plain.split())
    for word, count in expected.items():
        if word not in labels and word not in heads:
            assert found[word] == count, (word, width)
    assert not found.keys() - expected.keys() - labels - heads.keys(), width
    for cells, _ in grid.rows:
        for column in range(grid.labels, len(grid.names)):
            if grid.names[column] not in grid.texts:
                assert any(cells[column].plain in line for line in lines), "no number is wrapped, 0 of 32 for example"


@pytest.fixture(scope="module")
def report() -> Report:
    backends = ["right", "wrong_sign", "one_entry_off", "not_a_number", "missing_gradient"]
    return check(FAKES / "faulty.py", k=2, backends=backends)


@pytest.mark.parametrize("details", [False, True])
def test_a_report_at_every_width(report: Report, details: bool) -> None:
    for width in range(NARROWEST, WIDEST + 1):
        for _, grid in parts(report, width, View(details, gradients=True)):
            if "python" in grid.names:  # the interpreter's path may be longer than any terminal
                rows = [(cells[:-1], style) for cells, style in grid.rows]
                grid = Grid(grid.names[:-1], grid.labels, grid.texts, rows)
            assert_whole(grid, width)


NUMBERS = st.floats().map(lambda number: f"{number:.17g}") | st.sampled_from(["", "–", "0 of 32", "12 of 4096"])
LABELS = st.text("abcdefgh-=0123456789", min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(NARROWEST, WIDEST))
def test_any_table_at_any_width(data: st.DataObject, width: int) -> None:
    columns = data.draw(st.lists(st.text("klmnop|", min_size=1, max_size=20), min_size=1, max_size=9, unique=True))
    grid = Grid(["row", "part", *columns])
    row = st.lists(NUMBERS.map(lambda text: text or "0"), min_size=len(columns), max_size=len(columns))
    for cells in data.draw(st.lists(row, min_size=1, max_size=6)):
        grid.add(data.draw(LABELS), data.draw(LABELS), *cells)
    assert_whole(grid, width)


def test_a_label_that_is_wider_than_the_terminal_is_folded_and_not_lost() -> None:
    label = "exec:" + "/a-folder-of-a-long-name" * 4
    grid = Grid(["backend", "bad entries"], labels=1)
    grid.add(label, "0 of 32")
    lines = printed(grid, 60)
    assert "0 of 32" in " ".join(lines)
    first = next(number for number, line in enumerate(lines) if line.startswith("exec:"))
    assert "".join(line.replace("0 of 32", "").strip() for line in lines[first:]) == label


@pytest.mark.parametrize("width", [60, 80])
def test_a_path_longer_than_the_table_folds_no_label_and_leaves_no_spaces_at_ends(width: int) -> None:
    grid = Grid(["backend", "python"], labels=1, texts=("python",))
    grid.add("missing_gradient", f"/home/user/{'environment/' * 12}bin/python3")
    lines = printed(grid, width)
    assert lines[0].split() == ["backend", "python"]
    assert lines[1].startswith("missing_gradient  /home/user/")
    assert lines == [line.rstrip() for line in lines]
