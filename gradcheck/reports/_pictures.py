"""Heat maps and histograms of the errors of a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradcheck.findings import BOUND_EDGES, SPREAD_EDGES, ArrayError
from gradcheck.reports._png import Colour, data_uri
from gradcheck.text.wording import index_in_code, two_digits

LOWEST, HIGHEST = -4.0, 4.0
"""The decimal logarithms of error/bound at the ends of the colours."""
ZERO, BELOW, AT, ABOVE, FAR = (236, 242, 248), (198, 219, 239), (33, 90, 160), (253, 174, 97), (165, 0, 38)
NOT_A_NUMBER: Colour = (20, 20, 20)
SIDE = 160
"""The longer side of a heat map, in pixels."""


@dataclass(frozen=True)
class HeatMap:
    """A picture of the errors of one gradient, with the cell of its worst entry."""

    image: str
    width: float
    height: float
    worst: tuple[float, float]
    description: str


@dataclass(frozen=True)
class Bar:
    """One class of a histogram: its label, how many entries it has, its share in percent, and whether it is refused."""

    label: str
    count: int
    percent: float
    is_refused: bool


def heat_map(name: str, error: ArrayError) -> HeatMap:
    """The heat map of a gradient, whose name is in words."""
    cells = error.map.cells
    rows, columns = len(cells), len(cells[0])
    scale = SIDE / max(rows, columns)
    width, height = max(columns * scale, 24.0), max(rows * scale, 24.0)
    row, column = largest_cell(cells)
    return HeatMap(
        image=data_uri([[colour(ratio) for ratio in each] for each in cells]),
        width=width,
        height=height,
        worst=((column + 0.5) * width / columns, (row + 0.5) * height / rows),
        description=f"{name}: largest error {two_digits(error.max_bound_ratio)} of the bound, at "
        f"{index_in_code(error.worst_index) or 'its only entry'}",
    )


def largest_cell(cells: Sequence[Sequence[float]]) -> tuple[int, int]:
    """The place of the largest cell; not a number is larger than any."""
    places = [(row, column) for row, each in enumerate(cells) for column in range(len(each))]
    return max(places, key=lambda at: math.inf if math.isnan(cells[at[0]][at[1]]) else cells[at[0]][at[1]])


def colour(ratio: float) -> Colour:
    """The colour of error/bound: blue up to 1, from orange to red above, black for what is not a number."""
    if math.isnan(ratio):
        return NOT_A_NUMBER
    if ratio == 0:
        return ZERO
    power = min(max(math.log10(ratio), LOWEST), HIGHEST)
    return _between(BELOW, AT, 1 - power / LOWEST) if power <= 0 else _between(ABOVE, FAR, power / HIGHEST)


def _between(first: Colour, last: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
    return red, green, blue


def histogram(counts: Sequence[int], edges: Sequence[float], limit: float) -> list[Bar]:
    """The classes of a histogram, each of which ends at an edge; those above the limit are refused."""
    labels = ["0", *(f"≤ {edge:g}" for edge in edges[1:]), f"> {edges[-1]:g}"]
    ends = [*edges, math.inf]
    most = max(counts, default=0) or 1
    return [
        Bar(label, count, 100 * count / most, end > limit)
        for label, count, end in zip(labels, counts, ends, strict=True)
    ]


def histograms(error: ArrayError) -> dict[str, list[Bar]]:
    """Both histograms of a gradient, by their titles."""
    return {
        "error / bound, proved wrong above 1": histogram(error.map.of_bound, BOUND_EDGES, 1.0),
        "error / s, beyond rounding above 32": histogram(error.map.of_spread, SPREAD_EDGES, 32.0),
    }
