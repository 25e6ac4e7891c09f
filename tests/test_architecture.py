"""The arrows between rooms, and what must not be loaded to start with."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gradcheck

PACKAGE = Path(gradcheck.__file__).parent

# room -> the rooms that it may import
ALLOWED = {
    "errors": set(),
    "escaping": set(),
    "results": {"escaping", "wording"},
    "wording": set(),
    "answers": set(),
    "oracle": {"errors", "suggestions"},
    "backends": set(),
    "published": set(),
    "interruptions": set(),
    "lifelines": set(),
    "folders": {"errors", "interruptions"},
    "files": {"errors", "interruptions"},
    "suggestions": set(),
    "problems": {"backends", "caches", "errors", "published", "suggestions"},
    "catalogue": {"backends", "errors", "published"},
    "environments": {"caches", "catalogue", "errors", "interruptions", "lifelines"},
    "array_files": {"backends"},
    "standard_error": set(),
    "workers": {"environments", "lifelines", "results", "standard_error"},
    "crews": {"answers", "array_files", "backends", "folders", "interruptions", "results", "workers"},
    "settings": {"errors", "suggestions"},
    "cases": {"errors", "problems", "suggestions"},
    "archives": set(),
    "caches": {"errors", "escaping"},
    "records": {"answers", "archives", "errors"},
    "tapes": {"errors", "oracle", "problems"},
    "checks": {"oracle", "results"},
    "evidence": {"checks", "oracle", "results"},
    "ties": {"answers", "evidence", "oracle", "wording"},
    "judge": {"answers", "evidence", "oracle", "results", "suggestions", "ties", "wording"},
    "precision": {"answers", "cases"},
    "patterns": set(),
    "diagnosis": {"answers", "cases", "judge", "oracle", "patterns", "results", "wording"},
    "composition": {
        "", "answers", "cases", "catalogue", "crews", "environments", "judge", "results", "wording", "workers",
    },
    "verification": {
        "answers", "cases", "catalogue", "composition", "diagnosis", "errors", "escaping", "judge", "oracle",
        "problems", "records", "results", "suggestions", "tapes",
    },
    "lineups": {
        "backends", "catalogue", "crews", "environments", "errors", "oracle", "problems", "results", "settings",
        "suggestions", "workers",
    },
    "runner": {
        "answers", "cases", "catalogue", "composition", "crews", "diagnosis", "environments", "errors", "escaping",
        "judge", "lineups", "oracle", "precision", "problems", "records", "results", "settings", "tapes", "workers",
    },
    "matrix": {"errors", "lineups", "problems", "results", "runner", "settings", "wording"},
    "reports": {"errors", "files", "results", "suggestions", "wording"},
    "cli": {
        "", "catalogue", "environments", "errors", "escaping", "files", "matrix", "problems", "reports", "results",
        "runner", "settings", "suggestions", "verification",
    },
    "sessions": {"errors", "problems", "results", "runner", "settings"},
    "pytest_plugin": {"results", "sessions"},
    "": {"errors", "problems", "results", "sessions"},
    "__main__": {"cli"},
}  # fmt: skip


def room(module: str) -> str:
    """The room of a module: the name below the package, "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imported_rooms(source: str, own_room: str) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = node.module == "gradcheck"
            modules = [
                f"gradcheck.{alias.name}" if inside and is_module(alias.name) else node.module for alias in node.names
            ]
        else:
            continue
        rooms |= {room(module) for module in modules if module.split(".")[0] == "gradcheck"}
    return rooms - {own_room}


def is_module(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    own = "" if parts == ("__init__",) else parts[0]
    assert imported_rooms(path.read_text(), own) <= ALLOWED[own]


def test_the_test_of_arrows_sees_every_form_of_import() -> None:
    source = (
        "import gradcheck.judging.judge\nfrom gradcheck import cases\ndef f():\n from gradcheck.reports import json"
    )
    assert imported_rooms(source, "errors") == {"judge", "cases", "reports"}


HEAVY = ("numpy", "torch", "mxnet", "rich", "flint")


def loaded(statement: str) -> set[str]:
    code = f"import sys\ntry:\n {statement}\nexcept SystemExit: pass\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split()) & set(HEAVY)


@pytest.mark.parametrize(
    "statement",
    [
        "import gradcheck",
        "from gradcheck.cli import main; main(['--help'])",
        "from gradcheck.cli import main; main(['run', '-h'])",
    ],
)
def test_importing_and_asking_for_help_load_nothing_heavy(statement: str) -> None:
    assert loaded(statement) == set()


def test_the_test_of_loading_can_fail() -> None:
    assert loaded("import numpy") == {"numpy"}


def test_backends_are_read_without_their_frameworks() -> None:
    statement = "from gradcheck import catalogue; assert catalogue.engine('torch') and catalogue.engine('mxnet')"
    assert loaded(statement) == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "backends").glob("*.py")), ids=lambda path: path.name)
def test_backends_are_written_in_the_syntax_of_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_functions_and_files_stay_short() -> None:
    files = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert not [path for path, text in files.items() if text.count("\n") > 400]
    functions = [
        (path.name, node.name)
        for path, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and lines_of_code(node) > 40
    ]
    assert functions == []


def lines_of_code(function: ast.FunctionDef) -> int:
    """The lines of a function without its signature, its docstring and the functions inside it."""
    first, *others = function.body
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = others if is_docstring else function.body
    inside = sum((each.end_lineno or 0) - each.lineno for each in body if isinstance(each, ast.FunctionDef))
    return (function.end_lineno or 0) - body[0].lineno - inside if body else 0
