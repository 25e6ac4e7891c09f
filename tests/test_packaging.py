"""The package's metadata: packages that are installed together are compatible."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from gradcheck import __version__

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def numpy_of(requirements: list[str]) -> Requirement:
    (found,) = (each for each in map(Requirement, requirements) if each.name == "numpy")
    return found


def test_the_mxnet_extra_can_be_installed_beside_the_package() -> None:
    base, extra = numpy_of(PROJECT["dependencies"]), numpy_of(PROJECT["optional-dependencies"]["mxnet"])
    assert "1.23.5" in base.specifier
    assert "1.23.5" in extra.specifier
    assert "1.24" not in extra.specifier, "MXNet 1.9.1 reads np.bool"


def test_the_base_installs_no_framework() -> None:
    names = {Requirement(each).name for each in PROJECT["dependencies"]}
    assert not names & {"torch", "mxnet", "jax", "tensorflow"}


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (Path(__file__).parents[1] / "CITATION.cff").read_text()


def test_the_changelog_dates_this_version_and_has_each_heading_once() -> None:
    lines = (Path(__file__).parents[1] / "CHANGELOG.md").read_text().splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    assert releases[0] == "## [Unreleased]"
    assert re.fullmatch(rf"## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d", releases[1])
    first = lines[lines.index(releases[1]) :]
    kinds = [line for line in first if line.startswith("##")]
    assert len(kinds) == len(set(kinds))
    starts = [line[:60] for line in first if line.startswith("- ")]
    assert len(starts) == len(set(starts)), "two entries on one thing are one"
