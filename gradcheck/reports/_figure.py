"""The heat maps of a report as a figure of matplotlib, with the colours of the page."""

from __future__ import annotations

import math
from typing import Any

from gradcheck.findings import ArrayError
from gradcheck.reports._pictures import ABOVE, AT, BELOW, FAR, HIGHEST, LOWEST, NOT_A_NUMBER, ZERO, largest_cell
from gradcheck.results import Report
from gradcheck.text.wording import index_in_code, two_digits

INCHES = 2.4
"""The side of each heat map, with its title."""


def figure(report: Report) -> Any:
    """A row of heat maps for each backend that answered, with the worst entry of each gradient marked.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no backend answered.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plot: no matplotlib here: expected it to be installed: pip install matplotlib") from None
    rows = [(backend.spec, backend.measured()) for backend in report.printable().backends if backend.measured()]
    if not rows:
        raise ValueError("plot: no errors in the report: expected a backend that gave an answer")
    wide = max(len(errors) for _, errors in rows)
    size = (INCHES * wide + 1, INCHES * len(rows))
    drawn, grid = pyplot.subplots(len(rows), wide, squeeze=False, figsize=size, layout="constrained")
    colours, shown = _colours(), []
    for (spec, errors), row in zip(rows, grid, strict=True):
        for axes in row[len(errors) :]:
            axes.set_axis_off()
        for (name, error), axes in zip(errors.items(), row, strict=False):
            shown.append(_heat_map(axes, f"{spec}: {name}", error, colours))
    label = "log₁₀(error / bound): proved wrong above 0"
    drawn.colorbar(shown[0], ax=grid, label=label, extend="both")
    return drawn


def _heat_map(axes: Any, title: str, error: ArrayError, colours: Any) -> Any:
    cells = error.map.cells
    image = axes.imshow([[_power(ratio) for ratio in row] for row in cells], cmap=colours, vmin=LOWEST, vmax=HIGHEST)
    axes.set_title(title, fontsize="medium", parse_math=False)
    if error.max_bound_ratio == 0:
        axes.set_xlabel("no error")
    else:
        row, column = largest_cell(cells)
        ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": "black"}
        axes.plot([column], [row], clip_on=False, **ring)
        axes.set_xlabel(f"worst {two_digits(error.max_bound_ratio)} × bound {index_in_code(error.worst_index)}")
    axes.set_xticks([])
    axes.set_yticks([])
    return image


def _power(ratio: float) -> float:
    """The decimal logarithm of error/bound; below the scale for no error, and within it for an infinite one."""
    return LOWEST - 1 if ratio == 0 else math.log10(min(ratio, 10 ** (HIGHEST + 1)))


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    below, at, above, far, zero, bad = (
        "#{:02x}{:02x}{:02x}".format(*colour) for colour in (BELOW, AT, ABOVE, FAR, ZERO, NOT_A_NUMBER)
    )
    ends = [(0.0, below), (0.5, at), (0.5, above), (1.0, far)]
    return LinearSegmentedColormap.from_list("bounds", ends).with_extremes(under=zero, over=far, bad=bad)
