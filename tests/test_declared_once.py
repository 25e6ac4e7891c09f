"""Dtypes, their layouts and the prefix of programs are declared in one place, and no other module repeats them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gradcheck
from gradcheck.backends._worker import protocol
from gradcheck.dtypes import DTYPES, LAYOUTS
from gradcheck.execution import engines
from gradcheck.settings.declared import PROGRAM

PACKAGE = Path(gradcheck.__file__).parent
DTYPES_OWN = "dtypes.py"
OF_ENGINES = ("FORMATS", "LACKS")
"""An engine states how it computes in each dtype, or why it lacks it."""
CHOICES = {
    "backends/_worker/protocol.py": "workers import nothing of gradcheck; a test below holds it to the layouts",
}
CONTAINERS = (ast.Tuple, ast.List, ast.Set, ast.Dict)
WORD = re.compile(r"\b(?:{})\b".format("|".join(DTYPES)))


def of_engine(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id in OF_ENGINES for target in targets)


def read(tree: ast.AST, in_engine: bool) -> Iterator[ast.AST]:
    """The nodes of a module, without docstrings and an engine's statements about dtypes."""
    for node in ast.iter_child_nodes(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_text and not (in_engine and of_engine(node)):
            yield node
            yield from read(node, in_engine)


def dtypes_in(node: ast.AST) -> set[str]:
    """The dtypes that a container lists, as strings or as NumPy's classes, or that a text enumerates."""
    if isinstance(node, CONTAINERS):
        listed = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
        names = {getattr(each, "value", None) for each in listed if isinstance(each, ast.Constant)}
        names |= {each.attr for each in listed if isinstance(each, ast.Attribute)}
        return names & set(DTYPES)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        found = set(WORD.findall(node.value))
        return found if len(found) > 2 else set()  # sentences may have two: "in float32, not in the requested float64"
    return set()


def repeated(source: str, in_engine: bool = False) -> list[int]:
    """The lines of a source that list two dtypes or more."""
    return [node.lineno for node in read(ast.parse(source), in_engine) if len(dtypes_in(node)) > 1]


MODULES = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}


def test_no_other_module_lists_dtypes() -> None:
    others = {module: path for module, path in MODULES.items() if module not in {DTYPES_OWN, *CHOICES}}
    found = {module: repeated(path.read_text(), module.startswith("backends/")) for module, path in others.items()}
    assert {module: lines for module, lines in found.items() if lines} == {}


def test_the_prefix_of_programs_is_written_once() -> None:
    trees = [ast.parse(path.read_text()) for path in MODULES.values()]
    texts = [node.value for tree in trees for node in read(tree, False) if isinstance(node, ast.Constant)]
    assert [text for text in texts if isinstance(text, str) and PROGRAM in text] == [PROGRAM]


@pytest.mark.parametrize(
    "line",
    [
        "KNOWN = ('float64', 'float16')",
        "def f(a, b=['float32', 'float64']): pass",
        "if dtype in {'bfloat16', 'float16'}: pass",
        "BITS = {'float64': 53, 'float32': 24}",
        "WIDTHS = {8: np.float64, 4: np.float32}",
        "print('expected float64, float32 or float16')",
    ],
)
def test_a_list_of_dtypes_is_noticed(line: str) -> None:
    assert repeated(line) == [1]
    assert repeated(line, in_engine=True) == [1]


def test_code_without_a_list_of_dtypes_passes() -> None:
    source = '"""float64, float32, float16."""\nwider = "float64" if dtype == "float32" else "float32"\n'
    assert repeated(source) == []
    assert repeated("FORMATS: object = {'float64': {}, 'float32': {}}", in_engine=True) == []
    assert repeated("FORMATS: object = {'float64': {}, 'float32': {}}") == [1]


def test_messages_hold_what_numpy_holds_of_every_dtype() -> None:
    assert tuple(dict.fromkeys(layout.container for layout in LAYOUTS.values())) == protocol.DTYPES


def test_layouts_are_numpys_own() -> None:
    for name, layout in LAYOUTS.items():
        if name == layout.container:
            limits = np.finfo(name)
            assert (layout.bits, layout.lowest_exponent) == (limits.nmant + 1, limits.minexp)
            assert layout.largest == limits.max


@pytest.mark.parametrize("name", sorted(engines.paths()))
def test_an_engine_speaks_of_every_dtype_once(name: str) -> None:
    engine = engines.find(name)
    assert sorted([*engine.formats, *engine.lacks]) == sorted(DTYPES)
