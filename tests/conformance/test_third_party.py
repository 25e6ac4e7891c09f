"""An engine that others publish: a distribution of its own, found by its entry point, and no edit here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from gradcheck.execution import engines
from gradcheck.execution.environments.variables import uv_environment
from tests.conftest import Command

ROOT = Path(__file__).parents[2]
DISTRIBUTION = ROOT / "tests" / "distributions" / "gradcheck-tape"
COSINE = '"cos": lambda a, v: -np.sin(a)'


def install(source: Path, folder: Path) -> Path:
    """The folder of an installed distribution, built from a copy, so that its own folder stays clean."""
    shutil.copytree(source, folder / "source")
    target = folder / "installed"
    words = [uv.find_uv_bin(), "pip", "install", "--python", sys.executable, "--no-deps", "--target", target]
    done = subprocess.run(
        [*words, folder / "source"], capture_output=True, text=True, env=uv_environment(os.environ), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return target


def conformance(installed: Path, folder: Path, **attributes: object) -> subprocess.CompletedProcess[str]:
    """The test file of an engine's authors, beside their installed distribution and outside of this repository."""
    lines = ["from gradcheck.testing import Conformance", "class TestTape(Conformance):", "    engine = 'tape'"]
    attributes = {"dtypes": ("float64",), **attributes}
    lines += [f"    {name} = {value!r}" for name, value in attributes.items()]
    (folder / "test_conformance.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "pytest", "-rA", "--color=no", "-p", "no:cacheprovider", "test_conformance.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)


def outcomes(printed: str) -> dict[str, str]:
    """A test's name -> its outcome, from pytest's summary."""
    lines = [line.split() for line in printed.splitlines() if line.startswith(("PASSED", "FAILED"))]
    return {words[1].rpartition("::")[2]: words[0] for words in lines}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(DISTRIBUTION, tmp_path_factory.mktemp("tape"))


ONCE, TWICE = "test_every_word_agrees_with_the_oracle[float64]", "test_every_word_is_differentiated_twice[float64]"


def test_it_passes_the_conformance_suite(installed: Path, tmp_path: Path) -> None:
    """It has no `var` and no second derivatives: what it lacks is no error."""
    words = ("matmul", "softmax", "where", "var", "[]")
    done = conformance(installed, tmp_path, words=words, second_order=("float64",))
    assert (outcomes(done.stdout), done.returncode) == ({ONCE: "PASSED", TWICE: "PASSED"}, 0), done.stdout


def installed_with(folder: Path, before: str, after: str) -> Path:
    """The distribution with a planted mistake, installed in a folder."""
    shutil.copytree(DISTRIBUTION, folder / "wrong")
    file = folder / "wrong" / "gradcheck_tape.py"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    return install(folder / "wrong", folder)


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the derivative of cos as sin."""
    return installed_with(tmp_path_factory.mktemp("mistaken"), COSINE, COSINE.replace("-", ""))


def test_a_wrong_derivative_in_it_fails_the_conformance_suite(mistaken: Path, tmp_path: Path) -> None:
    done = conformance(mistaken, tmp_path, words=("cos", "sin"))
    assert (outcomes(done.stdout), done.returncode) == ({ONCE: "FAILED"}, 1), done.stdout
    assert re.search(r"cos: ops\.cos\(a\), uniform at k = 33: .* is proved wrong in 33 of 33 entries", done.stdout)
    assert "sin: " not in done.stdout


def test_a_gradient_that_contradicts_the_adjoints_fails_the_conformance_suite(tmp_path: Path) -> None:
    """The samples of many words share inputs, so that their gradients show it where one sample runs alone."""
    doubled = installed_with(tmp_path, "gradient(leaves[name])", "2 * gradient(leaves[name])")
    done = conformance(doubled, tmp_path, words=("sin",))
    assert (outcomes(done.stdout), done.returncode) == ({ONCE: "FAILED"}, 1), done.stdout
    assert "dL/da_0 is proved wrong in 3 of 3 entries" in done.stdout


def test_a_known_error_passes_and_one_that_is_mended_must_leave_the_list(mistaken: Path, tmp_path: Path) -> None:
    known = {("cos", "float64"): "the derivative is sin", ("sin", "float64"): "mended"}
    done = conformance(mistaken, tmp_path, words=("cos", "sin"), known=known)
    assert (outcomes(done.stdout), done.returncode) == ({ONCE: "FAILED"}, 1), done.stdout
    assert "sin: no error, but one is listed: remove it from the list" in done.stdout
    assert "cos: " not in done.stdout


def test_the_suite_of_an_unknown_engine_fails_with_one_line(installed: Path, tmp_path: Path) -> None:
    done = conformance(installed, tmp_path, engine="tap")
    assert done.returncode == 2
    assert "TestTape: backend 'tap': unknown: did you mean 'tape'?" in done.stdout


def test_the_command_lists_it_and_runs_it(gradcheck: Command, installed: Path) -> None:
    listed = gradcheck("backends", PYTHONPATH=str(installed)).stdout
    assert [line.split()[-3:] for line in listed.splitlines() if line.startswith("tape ")] == [
        ["float64", "float32", "float16"]
    ]
    done = gradcheck("run", "-b", "tape", "-b", "numpy", "--format", "json", PYTHONPATH=str(installed))
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert [(row["name"], row["verdict"]) for row in report["backends"]] == [("tape", "agrees"), ("numpy", "agrees")]


def test_nothing_of_it_is_imported_to_read_its_constants(installed: Path) -> None:
    code = "import sys; from gradcheck.execution.engines import find; find('tape'); print({'numpy'} & {*sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "set()\n"


def found_by_entry_points(folder: Path, **modules: str) -> None:
    """Make a folder that is on the path one in which a distribution with these entry points is installed."""
    (folder / "some-1.0.dist-info").mkdir()
    lines = ["[gradcheck.backends]", *(f"{name} = {module}" for name, module in modules.items())]
    (folder / "some-1.0.dist-info" / "entry_points.txt").write_text("\n".join(lines))


def test_the_engine_of_the_page_about_engines_is_one(gradcheck: Command, tmp_path: Path) -> None:
    source, *_ = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "engines.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "gradcheck_mine.py").write_text(source)
    found_by_entry_points(tmp_path, mine="gradcheck_mine")
    done = gradcheck("run", "-b", "mine", "-b", "numpy", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree: every backend agrees" in done.stdout


def test_an_engine_inside_of_a_framework_is_found_without_importing_the_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "framework").mkdir()
    (tmp_path / "framework" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "framework" / "engine.py").touch()
    found_by_entry_points(tmp_path, some="framework.engine", gone="framework.inside.gone")
    monkeypatch.syspath_prepend(tmp_path)
    found = engines.paths()
    assert (found["some"], "gone" in found) == (tmp_path / "framework" / "engine.py", False)
