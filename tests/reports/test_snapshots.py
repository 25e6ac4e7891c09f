"""What people see on a terminal, character by character; `pytest --snapshot-update` takes new snapshots."""

from __future__ import annotations

import io

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from gradcheck.reports import View, table
from gradcheck.results import Report
from tests.reports.examples import example

WIDTHS = (60, 80, 120, 200)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def on_a_terminal(report: Report, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **variables}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    table.write(report, stream)
    return stream.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["agree", "differ"])
def test_at_every_width(name: str, width: int, snapshot: SnapshotAssertion) -> None:
    printed = example(name).table(width=width)
    assert max(len(line) for line in printed.splitlines() if not line.startswith("again:")) <= width
    assert printed == snapshot


def test_with_details(snapshot: SnapshotAssertion) -> None:
    assert example("differ").table(details=True, width=80) == snapshot


def test_colours_are_those_of_the_terminals_own_palette(
    monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    assert on_a_terminal(example("differ"), monkeypatch) == snapshot


def test_a_pipe_and_a_dumb_terminal_show_the_same_text_without_any_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    report = example("differ")
    dumb = on_a_terminal(report, monkeypatch, TERM="dumb", COLUMNS="60")
    assert dumb == report.table(width=60) + "\n"
    assert "\x1b" not in dumb


def test_no_color_leaves_emphasis_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = on_a_terminal(example("differ"), monkeypatch, NO_COLOR="1")
    assert "\x1b[1m" in printed
    assert not any(f"\x1b[{style}{colour}m" in printed for style in ("", "1;") for colour in range(30, 38))


def test_all_agree_is_one_screen_without_the_gradients() -> None:
    printed = example("agree").table(width=80)
    tables, _, after = printed.partition("\n\nGradients\n")
    rest = after.partition("\n\n")[2]
    lines = [*tables.splitlines(), "", *rest.splitlines()]
    assert len(lines) <= 24
    assert "Largest absolute differences" in tables
    assert lines[-2] == "agree: every backend agrees"


def test_what_differs_comes_first_and_in_few_lines() -> None:
    lines = example("differ").table(width=80).splitlines()
    starts = [place for place, line in enumerate(lines) if line and not line.startswith(" ")]
    assert lines[1].startswith("wrong_sign: differs (proved)")
    labels = [line.partition(":")[0].strip() for line in lines[2 : starts[2]] if ": " in line]
    assert labels == ["cause", "pattern", "first wrong", "at", "worst"]
    assert "dL/db[0][0] = 1.836105904, true -1.836105904: off by 3.7, bound" in "\n".join(lines)
    again = next(place for place, line in enumerate(lines) if line.startswith("again: gradcheck run"))
    assert again < next(place for place, line in enumerate(lines) if line.startswith("Losses"))


def test_a_backend_with_many_findings_has_at_most_twelve_lines() -> None:
    report = example("differ")
    _, wrong, *others = report.backends
    noted = msgspec.structs.replace(wrong, notes=tuple(f"note {number}" for number in range(30)))
    report = msgspec.structs.replace(report, backends=(noted, *others))
    lines = report.table(width=80).splitlines()
    own = lines[1 : next(place for place, line in enumerate(lines) if line.startswith("one_entry_off:"))]
    assert len(own) == 12
    assert own[-1].strip() == "... 26 more lines: --details"
    assert "note 29" in report.table(details=True, width=80)


@pytest.mark.parametrize("details", [False, True])
def test_control_characters_are_shown_and_have_no_effect(details: bool) -> None:
    hostile = "\x1b[31mred\u202e\n"
    report = example("differ")
    first, *others = report.backends
    named = msgspec.structs.replace(first, spec=hostile, reason=hostile, notes=(hostile,), version=hostile)
    case = msgspec.structs.replace(report.case, problem=hostile, notes=(hostile,))
    shown = msgspec.structs.replace(report, backends=(named, *others), case=case).table(details, width=120)
    assert all(each.isprintable() for each in shown.replace("\n", ""))
    assert r"\x1b[31mred\u202e\n" in shown


def test_many_pairs_show_the_largest_alone() -> None:
    printed = example("differ").table(width=80)
    assert "Largest absolute differences between backends, the largest of 10 pairs" in printed
    assert printed.count("wrong_sign") < example("differ").table(details=True, width=80).count("wrong_sign")


def test_print_shows_the_table_and_repr_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    report = example("agree")
    print(report)
    assert "agree: every backend agrees" in capsys.readouterr().out
    assert repr(report) == "<Report sigmoid_skip k=3 seed=0 float64: agree, 4 of 4 agree>"


def test_details_explain_every_column() -> None:
    report = example("agree")
    lines = report.table(details=True, width=200).splitlines()
    for _, grid in table.parts(report, 200, View(details=True)):
        if any(name in ("import s", "in ulp", "median entry") for name in grid.names):
            assert {
                name for name in grid.names[1:] if not any(line.startswith(f"  {name}: ") for line in lines)
            } == set()
