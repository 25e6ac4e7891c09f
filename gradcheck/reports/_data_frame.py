"""The errors of a report as a table of pandas."""

from __future__ import annotations

from typing import Any

from gradcheck.results import Report


def data_frame(report: Report) -> Any:
    """A row for each gradient of each backend; see `Report.to_dataframe`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_dataframe: no pandas here: expected it to be installed: pip install pandas") from None
    rows = []
    for backend in report.backends:
        own: dict[str, Any] = {"backend": backend.spec, "version": backend.version, "verdict": str(backend.verdict)}
        own |= {"loss": backend.loss, "loss_error": backend.loss_error}
        rows += [own | {"gradient": name} | error.numbers() for name, error in backend.errors.items()] or [own]
    return pandas.DataFrame(rows)
