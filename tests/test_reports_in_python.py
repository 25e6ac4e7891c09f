"""Reports in Python: backends by name, arrays, JSON, files, data frames, plots; errors at the caller's own line."""

from __future__ import annotations

import builtins
import json
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot

import gradcheck
from gradcheck.outcomes import Summary
from gradcheck.results import Report
from tests.conftest import FAKES
from tests.reports.examples import example

FAULTY = FAKES / "faulty.py"
pyplot.switch_backend("agg")


@pytest.fixture(scope="module")
def report() -> Report:
    return gradcheck.check(FAULTY, k=2, dtype="float32", backends=["right", "wrong_sign", "exits"])


@pytest.fixture(scope="module")
def summary() -> Summary:
    return gradcheck.sweep(FAULTY, k=[1, 2], backends=["right", "wrong_sign"])


def test_a_backend_by_its_name(report: Report) -> None:
    assert report["wrong_sign"].verdict == "differs"
    assert [backend.spec for backend in report] == ["right", "wrong_sign", "exits"]
    with pytest.raises(KeyError, match=r"'wrong_sing': no such backend: did you mean 'wrong_sign'\?"):
        report["wrong_sing"]


def test_gradients_are_arrays(report: Report) -> None:
    right, wrong = (report[name].arrays() for name in ("right", "wrong_sign"))
    assert right["b"].shape == (2, 2)
    np.testing.assert_array_equal(right["b"], -wrong["b"])
    with pytest.raises(ValueError, match="exits: no gradients in the report: it gave no answer"):
        report["exits"].arrays()
    large = gradcheck.check(FAULTY, k=17, backends=["right"])
    with pytest.raises(ValueError, match="a report has them up to k = 16"):
        large["right"].arrays()


def test_json_is_that_of_the_command(report: Report, summary: Summary) -> None:
    assert json.loads(report.to_json())["schema"] == "gradcheck-report/1"
    assert json.loads(summary.to_json())["schema"] == "gradcheck-summary/1"


def test_a_notebook_shows_the_table(report: Report, summary: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook rich displays each line by itself and writes none; the kernel asks for colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    assert "wrong_sign: differs" in report._repr_html_()
    assert "2 cases in" in summary._repr_html_()
    assert "\x1b" not in report._repr_html_() + summary._repr_html_()


@pytest.mark.parametrize("ending", ["html", "json", "md", "txt", "xml"])
def test_files_have_the_format_of_their_ending(report: Report, summary: Summary, ending: str, tmp_path: Path) -> None:
    for found in (report, summary):
        path = tmp_path / f"{type(found).__name__}.{ending}"
        found.save(path)
        assert "wrong_sign" in path.read_text().replace("\\", "")
    with pytest.raises(gradcheck.RequestError, match="unknown ending"):
        report.save(tmp_path / "report.pdf")


def test_print_shows_tables(summary: Summary) -> None:
    assert "differ: at least one backend differs" in str(summary)
    assert "2 cases in" in summary._repr_html_()
    assert repr(summary) == "<Summary 2 cases: differ>"


def test_a_data_frame_has_a_row_for_each_gradient(report: Report) -> None:
    frame = report.to_dataframe()
    assert list(frame["backend"]) == ["right", "right", "wrong_sign", "wrong_sign", "exits"]
    assert list(frame["gradient"])[:4] == ["a", "b", "a", "b"]
    assert frame[frame["backend"] == "wrong_sign"]["bad_entries"].tolist() == [0, 4]
    assert {"max_bound_ratio", "power_median", "loss_error"} <= set(frame.columns)


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        example("agree").to_dataframe()


def test_a_plot_has_a_heat_map_of_each_gradient_with_its_worst_entry(report: Report) -> None:
    figure = report.plot()
    maps = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in maps] == [
        f"{name}: {gradient}" for name in ("right", "wrong_sign") for gradient in ("dL/da", "dL/db")
    ]
    right, wrong = maps[1], maps[3]
    red, _, blue, _ = wrong.images[0].to_rgba(wrong.images[0].get_array())[0, 0]
    assert red > blue, "an entry that is proved wrong is red"
    red, _, blue, _ = right.images[0].to_rgba(right.images[0].get_array())[0, 0]
    assert red < blue
    cells = report["wrong_sign"].errors["b"].map.cells
    (ring,) = wrong.lines
    assert cells[ring.get_ydata()[0]][ring.get_xdata()[0]] == max(map(max, cells))
    figure.canvas.draw()
    pyplot.close(figure)


def test_a_plot_needs_an_answer() -> None:
    with pytest.raises(ValueError, match="plot: no errors in the report: expected a backend that gave an answer"):
        gradcheck.check(FAULTY, k=2, backends=["exits"]).plot()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plot: no matplotlib here: .* pip install matplotlib"):
        example("differ").plot()


def lines_of_gradcheck(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(gradcheck.__file__).parent)
    return [frame.name for frame in frames if frame.filename.startswith(package)]


def test_errors_of_the_request_come_without_those_that_caused_them(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("def inputs(k):\n    return {'a': (k,)}\n\ndef loss(a):\n    raise ValueError('none')\n")
    with pytest.raises(gradcheck.RequestError, match=r"wrong.py:5: loss raised ValueError: none") as refusal:
        gradcheck.check(file, backends=["torch"])
    assert "".join(traceback.format_exception(refusal.value)).count("Traceback") == 1


def test_errors_of_the_request_end_at_the_callers_own_call() -> None:
    calls = {
        "check": lambda: gradcheck.check("sigmoid_skip", kk=3),
        "sweep": lambda: gradcheck.sweep("sigmoid_skip", k=[0]),
        "verify": lambda: gradcheck.verify("sigmoid_skip", inputs={}, answers={}),
        "load_problem": lambda: gradcheck.load_problem("sigmoid_ship"),
    }
    for name, call in calls.items():
        with pytest.raises(gradcheck.RequestError) as caught:
            call()
        assert lines_of_gradcheck(caught.value) == [], name


def test_a_bug_in_gradcheck_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gradcheck.runs.runner.Runner.run", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        gradcheck.check("sigmoid_skip")
    assert len(lines_of_gradcheck(caught.value)) > 1
