"""The conditions of a loss as its source has them: "a > 1.5"."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator, Mapping

COMPARED = {"gt": (ast.Gt, ast.Lt), "ge": (ast.GtE, ast.LtE), "eq": (ast.Eq,), "ne": (ast.NotEq,)}
CONNECTED = {"and": ast.BitAnd, "or": ast.BitOr}
CALLED = {
    "maximum": ("maximum",),
    "minimum": ("minimum",),
    "clip": ("clip", "clamp"),
    "relu": ("relu",),
    "leaky_relu": ("leaky_relu",),
    "elu": ("elu",),
    "abs": ("abs", "absolute"),
    "where": ("where",),
}
"""The names of functions that record a word."""


def in_source(file: str, line: int, word: str, position: int, count: int) -> Mapping[str, str]:
    """The conditions of a step as its line has them, by their general forms: "a > b" -> "x > y"; empty if unknown.

    Args:
        file: the path of the file.
        line: the line that records the step.
        word: of the step.
        position: of the step among those of its word on the line, in the order in which they are recorded.
        count: how many there are.
    """
    linecache.checkcache(file)
    found = _written(file, "".join(linecache.getlines(file))).get((line, word), ())
    if len(found) not in (1, count):  # one may stand in a loop; else nothing shows which is which
        return {}
    return found[0 if len(found) == 1 else position]


@functools.lru_cache(maxsize=32)
def _written(file: str, text: str) -> dict[tuple[int, str], list[Mapping[str, str]]]:
    """The conditions in the text of a file, by line and word, in the order of evaluation."""
    try:
        tree = ast.parse(text, file)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    modules = {alias.asname or alias.name.partition(".")[0] for alias in _imported(tree)} | {"ops"}
    written: dict[tuple[int, str], list[Mapping[str, str]]] = {}
    for node in _in_order(tree):
        for word, texts in _conditions(node, modules):
            written.setdefault((node.lineno, word), []).append(texts)
    return written


def _imported(tree: ast.AST) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from node.names


def _in_order(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions inside a node, operands before what takes them."""
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    if isinstance(node, ast.expr):
        yield node


def _conditions(node: ast.expr, modules: set[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The words that an expression may record, and for each its conditions."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for word, operators in COMPARED.items():
            if isinstance(node.ops[0], operators):
                general = {"gt": "a > b", "ge": "a >= b", "eq": "a == b", "ne": "a != b"}[word]
                yield word, {general: ast.unparse(node)}
    elif isinstance(node, ast.BinOp):
        for word, operator in CONNECTED.items():
            if isinstance(node.op, operator):
                yield word, {"a & b" if word == "and" else "a | b": ast.unparse(node)}
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for word in (word for word, names in CALLED.items() if name in names):
            if texts := _of_call(word, _operands(node, modules), node.keywords):
                yield word, texts


def _operands(call: ast.Call, modules: set[str]) -> list[ast.expr]:
    """The arguments of a call by position, in front of which stands the array whose method is called."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    root = owner
    while isinstance(root, ast.Attribute):
        root = root.value
    is_module = root is None or (isinstance(root, ast.Name) and root.id in modules)
    return list(call.args) if is_module or owner is None else [owner, *call.args]


def _of_call(word: str, operands: list[ast.expr], keywords: list[ast.keyword]) -> Mapping[str, str]:
    """The conditions of a call of a function that chooses."""
    if not operands:
        return {}
    a, *others = operands
    if word in ("maximum", "minimum"):
        sign = ">" if word == "maximum" else "<"
        return {f"a {sign} b": _compared(a, sign, others[0])} if others else {}
    if word == "clip":
        ends = dict(zip(("min", "max"), others, strict=False)) | {
            str(each.arg).removeprefix("a_"): each.value for each in keywords
        }
        signs = {"min": "<", "max": ">"}
        return {f"a {sign} {end}": _compared(a, sign, ends[end]) for end, sign in signs.items() if end in ends}
    return {"a": ast.unparse(a)} if word == "where" else {"a > 0": _compared(a, ">", ast.Constant(0))}


def _compared(left: ast.expr, sign: str, right: ast.expr) -> str:
    operator = ast.Gt() if sign == ">" else ast.Lt()
    return ast.unparse(ast.Compare(left, [operator], [right]))
