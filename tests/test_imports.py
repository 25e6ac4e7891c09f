"""Problems' files that import the user's own modules: in this process, in workers, and in pytest's fixture."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gradcheck as api
from gradcheck import problems
from gradcheck.errors import ProblemError
from tests.conftest import Command

pytest_plugins = ["pytester"]

SOURCE = """
import helper

def inputs(k): return {"x": (k,)}

def loss(ops, x): return helper.factor() * ops.sum(x)

def mine(x):
    import helper as late
    assert late is helper
    return helper.factor() * x.sum(), {"x": helper.factor() + 0 * x}

gradients = {"mine": mine}
"""
HELPER = "def factor(): return FACTOR\n"


def write(folder: Path, factor: str = "2.0", name: str = "helper") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(HELPER.replace("FACTOR", factor))
    path = folder / "layer.py"
    path.write_text(SOURCE)
    return path


def values(report: api.Report) -> list[float]:
    assert report.oracle is not None
    return [report.backends[0].gradients["x"][0], report.oracle.loss.mid]  # type: ignore[index]


def test_a_module_beside_the_file_is_imported_by_workers_and_engines(gradcheck: Command, tmp_path: Path) -> None:
    write(tmp_path / "layers")
    done = gradcheck("run", "layers/layer.py", "-b", "mine", "-b", "torch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_current_folder_and_pythonpath_are_searched_after_the_files_own(gradcheck: Command, tmp_path: Path) -> None:
    layer = write(tmp_path / "layers")
    for folder, factor in (("layers", "2.0"), (".", "3.0"), ("first", "4.0"), ("second", "5.0")):
        write(tmp_path / folder, factor)
    layer.write_text(SOURCE)
    paths = f"first:{tmp_path / 'second'}"
    for folder, factor in (("layers", 2.0), (".", 3.0), ("first", 4.0), ("second", 5.0)):
        done = gradcheck("run", "layers/layer.py", "--format", "json", PYTHONPATH=paths)
        assert json.loads(done.stdout)["backends"][0]["gradients"]["x"][0] == factor, done.stderr
        (tmp_path / folder / "helper.py").unlink()
    assert gradcheck("run", "layers/layer.py", PYTHONPATH=paths).returncode == 2


def test_nothing_that_a_worker_needs_is_shadowed(gradcheck: Command, tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("numpy", "torch", "random", "queue", "json", "inspect", "wave", "gradcheck"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "layer.py").write_text(SOURCE.replace("import helper\n", "import helper, numpy, random, wave\n", 1))
    done = gradcheck("run", str(tmp_path / "layer.py"), "-b", "mine", "-b", "torch", PYTHONSAFEPATH="1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_users_own_module_comes_before_an_installed_one_of_its_name(gradcheck: Command, tmp_path: Path) -> None:
    pytest.importorskip("iniconfig")
    layer = write(tmp_path, name="iniconfig")
    layer.write_text(
        SOURCE.replace("import helper\n", "import iniconfig as helper\n", 1).replace(
            "import helper as", "import iniconfig as"
        )
    )
    done = gradcheck("run", "layer.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_problems_of_two_folders_have_helpers_of_one_name(tmp_path: Path) -> None:
    left, right = write(tmp_path / "left", "2.0"), write(tmp_path / "right", "3.0")
    before = dict(sys.modules), list(sys.path)
    with api.Session() as session:
        for layer, factor in ((left, 2.0), (right, 3.0), (left, 2.0), (right, 3.0)):
            report = session.check(layer)
            report.assert_agrees()
            assert values(report)[0] == factor
    assert "helper" not in sys.modules
    assert sys.path == before[1]
    assert before[0].items() <= sys.modules.items()


def test_a_changed_helper_is_loaded_again_in_warm_workers(tmp_path: Path) -> None:
    layer = write(tmp_path)
    with api.Session() as session:
        for factor in ("2.0", "3.0", "4.0"):  # of one length, within one second
            write(tmp_path, factor)
            report = session.check(layer)
            report.assert_agrees()
            assert values(report)[0] == float(factor)


def test_a_change_inside_a_package_is_noticed_too(tmp_path: Path) -> None:
    layer = write(tmp_path)
    layer.write_text(
        SOURCE.replace("import helper", "import package.deep.helper as helper", 1).replace(
            "import helper as late", "from package.deep import helper as late"
        )
    )
    with api.Session() as session:
        for factor in ("2.0", "3.0"):
            write(tmp_path / "package" / "deep", factor)
            report = session.check(layer)
            report.assert_agrees()
            assert values(report)[0] == float(factor)


def test_modules_of_the_caller_stay_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = write(tmp_path / "layers", "2.0")
    write(tmp_path / "elsewhere", "7.0")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    helper = pytest.importorskip("helper")
    try:
        report = api.check(layer)
        report.assert_agrees()
        assert values(report)[0] == 2.0
        assert sys.modules["helper"] is helper
        assert helper.factor() == 7.0
    finally:
        del sys.modules["helper"]


def test_folders_on_the_path_of_this_process_only_are_found_and_are_in_the_command(
    gradcheck: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    layer = write(tmp_path)
    (tmp_path / "my src").mkdir()
    (tmp_path / "helper.py").rename(tmp_path / "my src" / "helper.py")
    monkeypatch.syspath_prepend(str(tmp_path / "my src"))
    report = api.check(layer)
    report.assert_agrees()
    program, path, command, *words = shlex.split(report.case.replay)
    assert (program, path, command) == ("env", f"PYTHONPATH={tmp_path / 'my src'}", "gradcheck")
    assert gradcheck(*words, PYTHONPATH=path.removeprefix("PYTHONPATH=")).returncode == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "from . import layers",
            "layer.py:2: from . import layers: expected the module's full name, such as `import layers`, as a file",
        ),
        ("from .layers import tanh", "layer.py:2: from .layers import tanh: expected the module's full name"),
        (
            "import nowhere",
            "layer.py:2: loading raised ModuleNotFoundError: No module named 'nowhere': expected a module",
        ),
        (
            "import gradcheck.jax",
            "no JAX in this environment, {prefix}: expected pip install 'gradcheck[jax]' "
            "(that of `gradcheck run -b jax` is for its workers alone)",
        ),
        ("import torch", "No module named 'torch': expected a line engine = \"torch\" in a file in PyTorch; what"),
        ("from math import tann", "layer.py:2: loading raised ImportError: cannot import name 'tann' from 'math'"),
    ],
)
def test_the_message_about_a_failed_import_has_what_to_write(
    tmp_path: Path, line: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_frameworks(monkeypatch)
    layer = write(tmp_path)
    layer.write_text(SOURCE.replace("import helper", line, 1))
    with pytest.raises(ProblemError) as refusal:
        problems.load(str(layer))
    assert message.replace("{prefix}", sys.prefix) in str(refusal.value)
    assert "\n" not in str(refusal.value)


class Absent:
    """A finder of an environment without PyTorch and JAX."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in ("torch", "jax"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def without_frameworks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    for name in ("torch", "jax", "gradcheck.torch", "gradcheck.jax"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(("module", "title"), [("torch", "PyTorch"), ("jax", "JAX")])
def test_a_check_without_its_framework_says_what_to_install(
    module: str, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_frameworks(monkeypatch)
    expected = rf"gradcheck.{module}: no {title} in this environment, .*: expected pip install 'gradcheck\[{module}\]'"
    with pytest.raises(ModuleNotFoundError, match=expected):
        importlib.import_module(f"gradcheck.{module}")


SCRIPT = "print('started')\nfrom gradcheck.torch import check\n\ndef loss(x): return x\n\ncheck(loss, (3,))\n"
FIXTURE = "print('started')\n\ndef test_layer(gradcheck): gradcheck('layer.py')\n"


@pytest.mark.parametrize(
    ("name", "source", "command"),
    [
        ("fused.py", SCRIPT, "python fused.py"),
        ("test_fused.py", SCRIPT, "pytest test_fused.py"),
        ("test_layer.py", FIXTURE, "pytest test_layer.py"),
    ],
)
def test_a_script_that_checks_by_itself_is_not_started_and_its_command_is_named(
    gradcheck: Command, tmp_path: Path, name: str, source: str, command: str
) -> None:
    (tmp_path / name).write_text(source)
    done = gradcheck("run", name)
    assert (done.returncode, done.stdout) == (2, "")
    message = f"no function 'inputs', and it calls gradcheck by itself: write {command} to run it"
    assert f"{name}: {message}; expected inputs(k) and loss(ops, ...) in a problem's file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_problem_that_imports_gradcheck_is_one(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def factor(): return 2.0\n")
    (tmp_path / "layer.py").write_text("import gradcheck\n" + SOURCE)
    assert problems.load(str(tmp_path / "layer.py")).backends == ("mine",)
    (tmp_path / "all.py").write_text("import gradcheck\nfrom layer import *\n")
    assert problems.load(str(tmp_path / "all.py")).backends == ("mine",)


def test_a_module_in_src_is_named_with_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    layer = write(tmp_path)
    (tmp_path / "helper.py").unlink()
    (tmp_path / "src" / "helper").mkdir(parents=True)
    beside = tmp_path / "src"
    with pytest.raises(ProblemError, match=rf"{beside}/helper exists: write PYTHONPATH={beside} gradcheck \.\.\.$"):
        problems.load(str(layer))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProblemError, match=r"'helper': src/helper exists: write PYTHONPATH=src gradcheck"):
        problems.load(str(layer))


def test_an_error_in_a_helper_is_reported_with_its_line(tmp_path: Path) -> None:
    layer = write(tmp_path)
    (tmp_path / "helper.py").write_text("def factor(:\n")
    with pytest.raises(ProblemError, match=r"helper.py:1: invalid syntax"):
        problems.load(str(layer))


@pytest.mark.parametrize("setting", ["[pytest]\npythonpath = src\n", ""])
def test_the_fixture_finds_modules_on_pytests_path(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    layer = write(pytester.path / "tests")
    (pytester.path / "src").mkdir()
    layer.with_name("helper.py").rename(pytester.path / "src" / "helper.py")
    (pytester.path / "pytest.ini").write_text(setting or "[pytest]\n")
    if not setting:
        (pytester.path / "conftest.py").write_text("import sys; sys.path.insert(0, 'src')\n")
    (pytester.path / "tests" / "test_layer.py").write_text(
        "import helper\n\n"
        "def test_layer(gradcheck):\n"
        "    gradcheck('layer.py', seeds=range(2))\n"
        "    assert __import__('helper') is helper\n"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_packages_that_are_installed_for_editing_are_found_by_their_finders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = write(tmp_path / "layers")
    (tmp_path / "src" / "helper").mkdir(parents=True)
    layer.with_name("helper.py").rename(tmp_path / "src" / "helper" / "__init__.py")
    finder = ModuleType("__editable___helper_finder")
    finder.MAPPING = {"helper": str(tmp_path / "src" / "helper")}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    found = type("_EditableFinder", (), {"__module__": finder.__name__, "find_spec": lambda *given: None})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, found])
    api.check(layer).assert_agrees()
