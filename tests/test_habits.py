"""What contributors use beside the code: the hooks before a commit, and the templates of issues."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from gradcheck.cli import gradcheck as command

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_hooks_before_a_commit_do_what_ci_does_and_download_nothing() -> None:
    (source,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert source["repo"] == "local"
    assert {hook["language"] for hook in source["hooks"]} == {"system"}
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["test"]
    entries = [hook["entry"] for hook in source["hooks"]]
    assert {entry.split()[0] for entry in entries} <= {re.split("[>=]", each)[0] for each in installed}
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(f".venv/bin/{' '.join(entry.split()[:2]).removesuffix(' --force-exclude')}" in ci for entry in entries)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_of_issues_has_what_the_forge_needs_and_names_real_commands(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "title", "labels", "body"} == form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    identifiers = [field["id"] for field in fields]
    assert len(identifiers) == len(set(identifiers))
    assert all(field["attributes"]["label"] for field in fields)
    named = re.findall(r"`gradcheck ([a-z]+)", path.read_text())
    assert set(named) <= set(command.list_commands(click.Context(command)))


MUTANTS = tomllib.loads((ROOT / "tools" / "mutants.toml").read_text())["mutant"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["right"][:40])
def test_a_mutant_changes_one_place_and_names_tests_that_exist(mutant: dict[str, Any]) -> None:
    """Else `tools/mutants.py` ends before it has tried one."""
    assert (ROOT / mutant["file"]).read_text().count(mutant["right"]) == 1
    for path, _, name in (each.partition("::") for each in mutant["tests"]):
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text()
