"""`gradcheck report`: any format again, and several files as one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"


def without_times(text: str) -> list[str]:
    return [line for line in text.splitlines() if " cases in " not in line]


@pytest.mark.parametrize("backend", ["right", "one_entry_off", "not_a_number"])
def test_a_json_report_gives_every_format_again(gradcheck: Command, tmp_path: Path, backend: str) -> None:
    words = ("run", FAULTY, "-b", "right", *([] if backend == "right" else ["-b", backend]), "--k", 2)
    first = gradcheck(*words, "--report", "r.json")
    again = gradcheck("report", "r.json", "--report", "again.json")
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)
    assert (tmp_path / "again.json").read_text() == (tmp_path / "r.json").read_text()


def test_the_parts_of_a_run_give_the_summary_of_the_whole(gradcheck: Command) -> None:
    words = ("run", FAULTY, "-b", "right", "-b", "one_entry_off", "--k", "2,3", "--seed", "0:10")
    whole = gradcheck(*words, "--store", "whole.sqlite")
    for part in (1, 2, 3):
        gradcheck(*words, "--partition", f"{part}/3", "--store", f"{part}.sqlite")
    merged = gradcheck("report", "1.sqlite", "2.sqlite", "3.sqlite", "--store", "all.sqlite")
    assert merged.returncode == whole.returncode == 1
    rows = [[line for line in without_times(done.stdout) if " 20 " in line] for done in (whole, merged)]
    assert [row.split()[:5] for row in rows[0]] == [row.split()[:5] for row in rows[1]] != []
    findings = [done.stdout[done.stdout.index("worst case") :] for done in (whole, merged)]
    assert findings[0] == findings[1]
    again = gradcheck("report", "all.sqlite")
    assert without_times(again.stdout) == without_times(merged.stdout)


def test_a_case_that_two_files_have_counts_once(gradcheck: Command) -> None:
    for name, seeds in (("a", "0:4"), ("b", "2:6")):
        gradcheck("run", FAULTY, "-b", "right", "--seed", seeds, "--store", f"{name}.sqlite")
    gradcheck("run", FAULTY, "-b", "right", "--seed", "5", "--report", "r.json")
    merged = json.loads(gradcheck("report", "a.sqlite", "b.sqlite", "r.json", "--format", "json").stdout)
    assert (merged["cases"], merged["values"]["seed"]) == (6, "0:6")


def test_a_summary_in_json_is_printed_again(gradcheck: Command) -> None:
    first = gradcheck("run", FAULTY, "-b", "one_entry_off", "--seed", "0:3", "--report", "s.json")
    again = gradcheck("report", "s.json")
    assert (again.returncode, again.stdout) == (1, first.stdout)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "'r.json': No such file or directory: expected a store, or a JSON report"),
        ("{}", "r.json: Object missing required field"),
        ("hello", "r.json: JSON is malformed"),
        ("[[[", "r.json: "),
    ],
)
def test_a_file_that_is_no_report_is_refused(
    gradcheck: Command, tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    done = gradcheck("report", "r.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_stores_of_commands_that_are_not_comparable_are_refused(gradcheck: Command) -> None:
    gradcheck("run", FAULTY, "-b", "right", "--seed", "0:2", "--store", "a.sqlite")
    gradcheck("run", FAULTY, "-b", "right", "--seed", "0:2", "--gate", "proved", "--store", "b.sqlite")
    done = gradcheck("report", "a.sqlite", "b.sqlite")
    assert (done.returncode, done.stdout) == (2, "")
    assert "b.sqlite: gate is 'proved', and 'rounding' in another file: expected stores of one command" in done.stderr
