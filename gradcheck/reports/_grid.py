"""Tables that fit their width: texts wrap between words, columns go into several tables, no number is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2  # columns between two of a table
FEWEST = 4  # the least width of a folded label, in columns
LONGEST_NAME = 20  # of a column that is not folded


@dataclass
class Grid:
    """Rows of cells under names: labels on the left, which each table repeats, then their values.

    Attributes:
        names: the columns' names.
        labels: how many columns are labels.
        texts: the names of the columns, beside labels, that hold words and may wrap. Other columns hold numbers.
        rows: their cells, and the style of each row.
    """

    names: Sequence[str]
    labels: int = 2
    texts: Sequence[str] = ()
    rows: list[tuple[list[Text], str]] = field(default_factory=list)

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row. A first label that equals that of the row before appears only once."""
        self.rows.append(([Text(cell) if isinstance(cell, str) else cell for cell in cells], style))

    def print(self, console: Console) -> None:
        """Print it in the width of a console, with an empty line between tables."""
        for number, table in enumerate(self.tables(console.width)):
            if number:
                console.print()
            for line in console.render_lines(table, pad=False):
                text = Text.assemble(*((piece.text, piece.style or "") for piece in line))
                text.rstrip()
                console.print(text, soft_wrap=True)

    def fits(self, width: int) -> bool:
        """Whether it is one table of such a width, with no label folded."""
        return total(map(self._least, range(len(self.names)))) <= width

    def tables(self, width: int) -> Iterator[Table]:
        """Tables without vertical lines, readable in a pipe too, each no wider than `width`."""
        least = self._least_widths(width)
        for columns in self._parts(least, width):
            yield self._table(columns, self._widened(columns, least, width))

    def _least_widths(self, width: int) -> list[int]:
        """The least width of each column: labels are folded if they leave no space for the widest other column.

        A word of a text, such as a path, is folded before them.
        """
        widths = [self._least(column) for column in range(len(self.names))]
        left = max(width - total(widths[: self.labels]) - GAP, LONGEST_NAME)
        for column in range(self.labels, len(self.names)):
            if self.names[column] in self.texts:
                widths[column] = min(widths[column], left)
        beside = max(widths[self.labels :], default=0)
        for column in sorted(range(self.labels), key=lambda column: -widths[column]):
            excess = total([*widths[: self.labels], beside]) - width
            if excess > 0:
                widths[column] = max(min(FEWEST, widths[column]), widths[column] - excess)
        return widths

    def _least(self, column: int) -> int:
        """The least width of a column in which names, and texts, are wrapped between words."""
        name = min(longest_word([Text(self.names[column])]), LONGEST_NAME)
        cells = self._cells(column)
        return max(name, longest_word(cells) if self.names[column] in self.texts else longest(cells))

    def _widened(self, columns: Sequence[int], least: Sequence[int], width: int) -> dict[int, int]:
        """The widths of a table's columns, so that as few texts as possible wrap."""
        widths = {column: least[column] for column in columns}
        for column in columns:
            wanted = max(longest(self._cells(column)), min(len(self.names[column]), LONGEST_NAME))
            widths[column] += max(0, min(width - total(widths.values()), wanted - widths[column]))
        return widths

    def _parts(self, widths: Sequence[int], width: int) -> Iterator[list[int]]:
        """The columns of each table: all labels, and as many others as fit."""
        labels = list(range(self.labels))
        part: list[int] = []
        for column in range(self.labels, len(self.names)):
            if part and total(widths[each] for each in (*labels, *part, column)) > width:
                yield [*labels, *part]
                part = []
            part.append(column)
        yield [*labels, *part]

    def _table(self, columns: Sequence[int], widths: Mapping[int, int]) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            is_text = column < self.labels or self.names[column] in self.texts
            table.add_column(
                Text(self.names[column]),
                justify="left" if is_text else "right",
                width=widths[column],
                overflow="fold",
            )
        before = None
        for cells, style in self.rows:
            if any(cells[column].plain for column in columns[self.labels :]):
                first = Text("") if self.labels > 1 and cells[0].plain == before else cells[0]
                before = cells[0].plain
                table.add_row(first, *(cells[column] for column in columns[1:]), style=style)
        return table

    def _cells(self, column: int) -> list[Text]:
        return [cells[column] for cells, _ in self.rows]


def total(widths: Iterable[int]) -> int:
    """The width of a table with columns of these widths."""
    each = list(widths)
    return sum(each) + GAP * (len(each) - 1)


def longest(cells: Iterable[Text]) -> int:
    """The width of the longest cell."""
    return max((cell.cell_len for cell in cells), default=0)


def longest_word(cells: Iterable[Text]) -> int:
    """The width of the longest word in cells."""
    return longest(Text(word) for cell in cells for word in cell.plain.split())
