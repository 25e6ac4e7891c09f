"""Replacements for names of other libraries, and descriptions of values for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradcheck.text.suggestions import did_you_mean

MATRIX_PRODUCT = "a @ b"
RESHAPE = "ops.reshape(a, shape)"
INSTEAD = {
    "absolute": "ops.abs(a)",
    "add": "a + b",
    "amax": "ops.max(a, axis)",
    "amin": "ops.min(a, axis)",
    "array": "a number, or an input of the problem",
    "asarray": "a number, or an input of the problem",
    "astype": "nothing: --dtype says in which dtype a run computes",
    "cat": "ops.concat([a, b], axis)",
    "clamp": "ops.clip(a, min, max)",
    "concatenate": "ops.concat([a, b], axis)",
    "detach": "ops.stop_gradient(a)",
    "divide": "a / b",
    "dot": MATRIX_PRODUCT,
    "dtype": "nothing: --dtype says in which dtype a run computes",
    "expit": "ops.sigmoid(a)",
    "flatten": RESHAPE,
    "inner": MATRIX_PRODUCT,
    "mm": MATRIX_PRODUCT,
    "multiply": "a * b",
    "mv": MATRIX_PRODUCT,
    "negative": "-a",
    "norm": "ops.vector_norm(a)",
    "permute": "ops.permute_dims(a, axes)",
    "pow": "a ** b",
    "power": "a ** b",
    "ravel": RESHAPE,
    "reciprocal": "1 / a",
    "size": "math.prod(a.shape)",
    "sub": "a - b",
    "swapaxes": "ops.moveaxis(a, source, destination)",
    "t": "a.T",
    "transpose": "a.T of a matrix, or ops.permute_dims(a, axes)",
    "subtract": "a - b",
    "arcsin": "ops.asin(a)",
    "arccos": "ops.acos(a)",
    "arctan": "ops.atan(a)",
    "arctan2": "ops.atan2(a, b)",
    "true_divide": "a / b",
    "unbind": "ops.unstack(a, axis)",
    "unsqueeze": "ops.expand_dims(a, axis)",
    "view": RESHAPE,
}
ARGUMENTS = {"dim": "axis", "dims": "axis", "axes": "axis", "keepdim": "keepdims"}
"""Other libraries' names for the arguments of words."""

NO_TRUTH = "a value of the problem has no truth value while it is recorded"
NO_ENTRIES = "a value of the problem has no entries while it is recorded"
REFUSED = {
    "__abs__": ("abs(a)", "write ops.abs(a)"),
    "__xor__ __rxor__": ("^ of values of the problem", "write (a & ~b) | (b & ~a) of two conditions"),
    "__bool__": (
        NO_TRUTH,
        "write ops.where(condition, a, b) instead of if, & | ~ instead of and, or, not, "
        "ops.maximum(a, b) instead of max(a, b)",
    ),
    "__contains__": ("in", "write ops.where(condition, a, b)"),
    "__divmod__ __rdivmod__ __floordiv__ __rfloordiv__ __mod__ __rmod__": (
        "// and % of values of the problem",
        "write /, or let sample(rng, k) give what is a whole number",
    ),
    "__float__ __int__ __complex__ __round__ __floor__ __ceil__ __trunc__": (
        NO_ENTRIES,
        "leave float(), int() and prints out, and write words of ops alone (ops.sqrt instead of math.sqrt)",
    ),
    "__iter__": (
        "a value of the problem cannot be iterated over",
        "write a[0], a[1], ..., or words of ops alone (ops.sum(a) instead of sum(a))",
    ),
    "__len__": ("len(a)", "write a.shape[0]"),
    "__pos__": ("+a", "write a"),
    "__setitem__ __delitem__": (
        "entries of a value of the problem cannot be replaced",
        "write ops.concat of pieces, or ops.where(condition, a, b)",
    ),
}
"""Operations that values lack, by Python's methods: the wrong code, and what to write instead."""

BY_LINE = {
    NO_TRUTH: {
        r"\bwhile\b": "write for over a fixed number of steps instead of while",
        r"\bassert\b": "leave the assertion out",
        r"(?<![.\w])max\(": "write ops.max(a) for the largest entry, ops.maximum(a, b) for the larger of two",
        r"(?<![.\w])min\(": "write -ops.max(-a) for the smallest entry, ops.minimum(a, b) for the smaller of two",
    },
    NO_ENTRIES: {
        r"(?<![.\w])print\(": "leave the print out",
        r"(?<![.\w])(float|int|round|complex)\(": r"leave \1() out",
    },
}
"""What to write instead, where the user's line shows more: the wrong code -> patterns of lines -> advice."""


def advice(what: str, hint: str, line: str) -> str:
    """What to write instead of wrong code on a line of the user's source; `hint` where the line shows no more."""
    found = (
        found.expand(text) for pattern, text in BY_LINE.get(what, {}).items() if (found := re.search(pattern, line))
    )
    return next(found, hint)


def instead(name: str, words: Iterable[str]) -> str:
    """What to write instead of a function or method of another library: a clause, or nothing."""
    if name in words:
        return f"write ops.{name}"
    return f"write {INSTEAD[name]}" if name in INSTEAD else ""


def unknown_word(name: str, words: Iterable[str]) -> str:
    """The message about ``ops.name``, which is not one of the words."""
    words = list(words)
    hint = f"{instead(name, words)}; " if name in INSTEAD else did_you_mean(name, words)
    return f"unknown operation ops.{name}: {hint}expected one of {', '.join(sorted(words))}"


def unknown_attribute(name: str, words: Iterable[str]) -> str:
    """The message about ``a.name``, which values do not have."""
    hint = instead(name, words) or "write what it stands for in words of ops"
    return f"a value of the problem has no .{name}, only .T, .mT, .shape and .ndim: {hint}"


def is_value(value: Any) -> bool:
    """Whether it is a recorded value, a ``Value``."""
    return hasattr(type(value), "recording")


def described(value: Any) -> str:
    """A wrong value, in the words of its writer."""
    if is_value(value):
        kinds = {"boolean": "a condition", "integer": f"integers of shape {value.shape}"}
        return kinds.get(value.kind, f"a value of shape {value.shape}")
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__}"
    if value is None or isinstance(value, (str, bool, complex, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"
