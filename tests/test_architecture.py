"""The layers of the package, the arrows between them, and modules that must not be loaded at the start."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gradcheck

PACKAGE = Path(gradcheck.__file__).parent

# The lowest layer first: a folder, or a module beside the folders -> those that it may import, which are below it.
FLOORS = {
    "_version": set(),
    "errors": set(),
    "dtypes": set(),
    "text": set(),
    "entry_points": set(),
    "system": {"errors", "text"},
    "findings": {"text"},
    "shown": set(),
    "results": {"findings", "shown", "text"},
    "outcomes": {"findings", "results", "shown", "text"},
    "settings": {"dtypes", "errors", "text"},
    "backends": set(),
    "answers": {"backends"},
    "graphs": {"dtypes", "text"},
    "oracle": {"dtypes", "errors", "graphs"},
    "problems": {"backends", "dtypes", "entry_points", "errors", "graphs", "system", "text"},
    "execution": {
        "answers", "backends", "dtypes", "entry_points", "errors", "findings", "graphs", "oracle", "problems",
        "results", "settings", "system", "text",
    },
    "judging": {"answers", "dtypes", "findings", "graphs", "oracle", "problems", "results", "text"},
    "runs": {
        "_version", "answers", "backends", "dtypes", "errors", "execution", "findings", "graphs", "judging", "oracle",
        "outcomes", "problems", "results", "settings", "system", "text",
    },
    "reports": {"errors", "findings", "outcomes", "results", "system", "text"},
    "api": {"errors", "outcomes", "problems", "results", "runs", "settings"},
    "jax": {"answers", "backends", "dtypes", "errors", "graphs", "results", "runs", "settings"},
    "torch": {"answers", "backends", "dtypes", "errors", "graphs", "results", "runs", "settings"},
    "testing": {
        "answers", "api", "backends", "dtypes", "errors", "execution", "graphs", "judging", "oracle", "problems",
        "results", "runs", "text",
    },
    "": {"_version", "api", "errors", "outcomes", "problems", "reports", "results", "shown"},
    "pytest_plugin": {"api", "errors", "results"},
    "cli": {
        "_version", "errors", "execution", "graphs", "outcomes", "problems", "reports", "results", "runs", "settings",
        "system", "text",
    },
    "__main__": {"cli"},
}  # fmt: skip


def name_of(path: Path) -> str:
    """The dotted name of a module of the package, less the package's own: "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor(module: str) -> str:
    return module.partition(".")[0]


def imported(source: str) -> set[str]:
    """The modules of the package that a source imports, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each if each.partition(".")[2] in MODULES else node.module for each in inside]
        else:
            continue
        found |= {name.partition(".")[2] for name in names if name.partition(".")[0] == "gradcheck"}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_allows(module: str) -> None:
    floors = {floor(each) for each in imported(MODULES[module].read_text())} - {floor(module)}
    assert floors <= FLOORS[floor(module)]


def test_every_arrow_leads_to_a_lower_layer() -> None:
    order = list(FLOORS)
    higher = [(own, each) for own in order for each in FLOORS[own] if order.index(each) >= order.index(own)]
    assert higher == []


def test_no_allowed_arrow_is_unused() -> None:
    used = {(floor(module), floor(each)) for module, path in MODULES.items() for each in imported(path.read_text())}
    assert {(own, each) for own, below in FLOORS.items() for each in below} <= used


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: imported(path.read_text()) - {module} for module, path in MODULES.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_the_test_of_arrows_sees_every_form_of_import() -> None:
    source = "import gradcheck.judging.judge\nfrom gradcheck import api\ndef f():\n from gradcheck.reports import json"
    assert imported(source) == {"judging.judge", "api", "reports.json"}


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
def test_import_and_help_load_nothing_heavy(statement: str) -> None:
    assert loaded(statement) == set()


def test_a_worker_starts_before_anything_heavy_is_imported() -> None:
    """Then it imports NumPy while this process does, which takes the time of one import."""
    first = "from gradcheck.execution.worker import Worker; Worker.__init__ = lambda *_: sys.exit()"
    assert loaded(f"{first}; from gradcheck.cli import main; main(['run', '-b', 'mine'])") == set()


def test_the_test_of_loading_can_fail() -> None:
    assert loaded("import numpy") == {"numpy"}


def test_backends_are_read_without_their_frameworks() -> None:
    statement = "from gradcheck.execution import engines; assert engines.find('torch') and engines.find('mxnet')"
    assert loaded(statement) == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "backends").rglob("*.py")), ids=lambda path: path.name)
def test_backends_are_written_in_the_syntax_of_python_3_9(path: Path) -> None:
    assert ast.parse(path.read_text(), feature_version=(3, 9)).body, "it has statements, and none is newer"


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


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
