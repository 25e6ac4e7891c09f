"""Reports for CI servers: JUnit, annotations and the summary of a job; the action, the hook and the page about them."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import xmlschema
import yaml

from gradcheck import check, sweep
from gradcheck.outcomes import Summary
from gradcheck.reports import View, github, junit, markdown
from gradcheck.results import Report
from tests.conftest import FAKES, Command
from tests.reports.examples import DATA, example

ROOT = Path(__file__).parents[2]
FAULTY = FAKES / "faulty.py"
HOSTILE = "\x1b[31m<b>&]]>\u202e\n| a | `b` ::error::x"


def written(module: object, report: Report | Summary) -> str:
    stream = io.StringIO()
    if isinstance(report, Summary):
        module.write_summary(report, stream)  # type: ignore[attr-defined]
    else:
        module.write(report, stream, View())  # type: ignore[attr-defined]
    return stream.getvalue()


@pytest.fixture(scope="module")
def summary() -> Summary:
    return sweep(FAULTY, k=[1, 2], seed=range(3), backends=["right", "wrong_sign", "exits"])


def hostile() -> Report:
    report = example("differ")
    named = [msgspec.structs.replace(each, spec=HOSTILE, reason=HOSTILE, version=HOSTILE) for each in report.backends]
    case = msgspec.structs.replace(report.case, problem=HOSTILE)
    return msgspec.structs.replace(report, backends=tuple(named), case=case)


@pytest.mark.parametrize("report", [example("agree"), example("differ"), hostile()], ids=["agree", "differ", "hostile"])
def test_junit_is_valid(report: Report) -> None:
    assert xmlschema.is_valid(written(junit, report), DATA / "junit.xsd")
    assert not xmlschema.is_valid(written(junit, report).replace("<testcase", "<case", 1), DATA / "junit.xsd")


def test_junit_of_many_cases_is_valid_and_counts_rows(summary: Summary) -> None:
    text = written(junit, summary)
    xmlschema.validate(text, DATA / "junit.xsd")
    suite = ElementTree.fromstring(text)[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}


def test_the_schema_of_junit_can_refuse() -> None:
    broken = written(junit, example("differ")).replace('tests="', 'test="')
    assert not xmlschema.XMLSchema(DATA / "junit.xsd").is_valid(broken)


def test_junit_has_a_test_case_for_each_backend_with_its_finding() -> None:
    suite = ElementTree.fromstring(written(junit, example("differ")))[0]
    outcomes = {case.get("name"): [each.tag for each in case] for case in suite.iter("testcase")}
    assert outcomes == {
        "right": [], "wrong_sign": ["failure"], "one_entry_off": ["failure"], "not_a_number": ["failure"],
        "missing_gradient": ["failure"], "exits": ["error"],
    }  # fmt: skip
    failure = next(suite.iter("failure"))
    assert failure.get("message") == "dL/db is proved wrong in 4 of 4 entries"
    assert "faulty.py:25" in (failure.text or "")
    assert "again: gradcheck run" in (failure.text or "")


def test_annotations_are_at_the_users_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(ROOT))
    report = check(FAULTY, k=2, backends=["wrong_sign", "right"])
    annotations = [line for line in written(github, report).splitlines() if line.startswith("::")]
    assert len(annotations) == 1
    assert annotations[0].startswith(
        "::error file=tests/fakes/faulty.py,line=25,title=gradcheck%3A wrong_sign differs (proved)::"
        "wrong_sign: differs (proved): dL/db is proved wrong in 4 of 4 entries%0A        cause: wrong formula"
    )
    assert f"again: gradcheck run {os.path.relpath(FAULTY)} --k 2" in annotations[0]


def test_a_file_outside_the_workspace_has_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    printed = written(github, example("differ"))
    assert "::error title=gradcheck%3A wrong_sign" in printed
    assert "file=" not in printed


def test_many_cases_annotate_each_fault_once_at_its_line(summary: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(ROOT))
    first, *annotations, last = written(github, summary).splitlines()
    assert (first, last) == ("6 cases", "differ: at least one backend differs")
    sign, exits = (each for each in annotations if not each.startswith("::notice"))
    assert sign.startswith("::error file=tests/fakes/faulty.py,line=25,title=gradcheck%3A wrong_sign differs")
    assert "6 cases, the worst:%0Awrong_sign: differs (proved): dL/db is proved wrong in 4 of 4 entries" in sign
    assert exits.startswith("::error title=gradcheck%3A exits crashed::")


def test_a_fault_outside_the_worst_case_has_its_line_too(summary: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(ROOT))
    printed = written(github, msgspec.structs.replace(summary, worst=None))
    assert "::error file=tests/fakes/faulty.py,line=25,title=gradcheck%3A wrong_sign differs::dL/db" in printed
    assert '%0A           at: faulty.py:25  -gradients["b"]%0Aagain: gradcheck run' in printed


def test_one_reason_at_two_lines_is_annotated_at_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "upper.py").write_text(FAULTY.read_text())
    (tmp_path / "lower.py").write_text("\n\n" + FAULTY.read_text())
    found = sweep(["upper.py", "lower.py"], k=1, backends=["wrong_sign"])
    places = re.findall(r"::error file=(.*?),line=(\d+),", written(github, found))
    assert sorted(places) == [("lower.py", "27"), ("upper.py", "25")]


@pytest.mark.parametrize("many", [False, True], ids=["one case", "many cases"])
def test_a_test_case_that_fails_has_the_users_file_and_line(
    many: bool, summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(ROOT))
    found = summary if many else check(FAULTY, k=2, backends=["right", "wrong_sign", "exits"])
    suite = ElementTree.fromstring(written(junit, found))[0]
    places = [(case.get("file"), case.get("line")) for case in suite.iter("testcase")]
    assert places == [(None, None), ("tests/fakes/faulty.py", "25"), (None, None)]
    assert 'at: faulty.py:25  -gradients["b"]' in (next(suite.iter("failure")).text or "")


@pytest.mark.parametrize("module", [github, markdown, junit])
def test_no_text_from_elsewhere_has_an_effect(module: object) -> None:
    printed = written(module, hostile())
    assert all(each.isprintable() for each in printed.replace("\n", "").replace("\r", ""))
    if module is github:
        assert not any(line.startswith("::error::x") for line in printed.splitlines())
    if module is markdown:
        head, row, *_ = (line for line in printed.splitlines() if line.startswith("| "))
        assert len(re.findall(r"(?<!\\)\|", head)) == len(re.findall(r"(?<!\\)\|", row)) == 7


def test_markdown_has_the_verdict_the_finding_and_a_row_for_each_backend() -> None:
    lines = written(markdown, example("differ")).splitlines()
    assert lines[0] == "### gradcheck: differ"
    assert "wrong_sign: differs (proved): dL/db is proved wrong in 4 of 4 entries" in lines
    assert "| wrong\\_sign | NumPy 2.4.6 | ❌ differs | 3.13885161 | 9.0e+15 | dL/db |" in lines


def test_markdown_of_many_cases_has_a_row_for_each_backend(summary: Summary) -> None:
    printed = written(markdown, summary)
    assert "| tests/fakes/faulty.py | float64 | wrong\\_sign | 6 | ❌ 6 differs |" in printed.replace(f"{ROOT}/", "")
    assert "Worst case:" in printed


def test_a_run_in_github_actions_appends_to_the_summary_of_the_job(gradcheck: Command, tmp_path: Path) -> None:
    job = tmp_path / "summary.md"
    job.write_text("before\n")
    words = ("run", FAULTY, "-b", "right", "--report", "own.md", "--format", "github")
    done = gradcheck(*words, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(job))
    assert done.returncode == 0, done.stderr
    assert job.read_text() == "before\n" + (tmp_path / "own.md").read_text()
    gradcheck(*words, GITHUB_ACTIONS=None, GITHUB_STEP_SUMMARY=str(job))
    assert job.read_text().count("### gradcheck") == 1


UNDECIDED = """
import numpy as np
def inputs(): return {"a": (2,)}
def loss(a): return np.sum(np.log(a - 2))
def mine(a): return np.sum(np.log(a - 2)), {"a": 1 / (a - 2)}
gradients = {"mine": mine}
"""


def test_an_undecided_run_passes_only_if_that_is_allowed(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(UNDECIDED)
    assert gradcheck("run", "layer.py").returncode == 4
    done = gradcheck("run", "layer.py", "--allow", "undecided", "--report", "junit.xml")
    assert done.returncode == 0, done.stdout
    assert "undecided: it cannot be decided" in done.stdout
    assert "again: gradcheck run layer.py --seed 0 --dtype float64 --allow undecided" in done.stdout
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert [each.tag for case in suite.iter("testcase") for each in case] == ["skipped"]
    assert gradcheck("run", "layer.py", "--allow", "undecided", "--seed", "0:2").returncode == 0
    assert gradcheck("run", FAULTY, "-b", "wrong_sign", "--allow", "undecided").returncode == 1


def test_a_report_allows_what_its_run_allows(tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(UNDECIDED)
    check(tmp_path / "layer.py", allow="undecided").assert_agrees()
    with pytest.raises(AssertionError, match="undecided"):
        check(tmp_path / "layer.py").assert_agrees()


def blocks() -> list[dict[str, object]]:
    page = (ROOT / "docs" / "ci.md").read_text()
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]


def test_the_action_runs_as_the_page_says(tmp_path: Path) -> None:
    """The second step of the action in a folder like that of a checkout, with the arguments of the page."""
    workflow, gitlab, hook = blocks()
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][1]
    arguments = workflow["jobs"]["gradcheck"]["steps"][1]["with"]["arguments"]  # type: ignore[index]
    (tmp_path / "layer.py").write_text(FAULTY.read_text())
    (tmp_path / "gradcheck" / "bin").mkdir(parents=True)
    command = tmp_path / "gradcheck" / "bin" / "gradcheck"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradcheck "$@"\n')
    command.chmod(0o755)
    variables = {"ARGUMENTS": f"{arguments} -b right", "JUNIT": action["inputs"]["junit"]["default"]}
    assert set(step["env"]) == set(variables)
    environment = os.environ | {"RUNNER_TEMP": str(tmp_path)} | variables
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "gradcheck.xml").is_file()
    script = gitlab["gradcheck"]["script"]  # type: ignore[index]
    assert script[1].startswith(f"gradcheck run {arguments} ")
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [each["id"] for each in hooks] == [hook["repos"][0]["hooks"][0]["id"]]  # type: ignore[index]
    assert hooks[0]["entry"].split() == ["gradcheck", "run"]
