"""Replacements for what a loss in NumPy may not use, for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gradcheck.graphs.instead import described
from gradcheck.graphs.sources import user_source
from gradcheck.text.suggestions import did_you_mean

DTYPE = "leave it out: --dtype says in which dtype a run computes"
METHOD_HINTS = {
    "astype": DTYPE,
    "dtype": f"{DTYPE}; of a condition write .astype(float)",
    "item": "leave it out: a value has no entries while it is recorded",
    "tolist": "leave it out: a value has no entries while it is recorded",
}
OPTION_HINTS = {
    "dtype": "leave dtype out: --dtype says in which dtype a run computes",
    "out": "leave out= out, and write a = ... instead",
}
FINITE = "leave it out: the report names what is not finite"
NO_ORDER = "not recorded: write what it makes of np.sort(a)"
NO_ALGEBRA = "not recorded yet; where its matrix is constant, let sample give the result, as an input"
CONSTANT = "its gradient is zero: leave it out, or let sample give what is rounded, as an input"
FUNCTIONS = {
    "add.reduce": "write np.sum",
    "allclose isclose array_equal": "leave it out: a value has no entries while it is recorded",
    "append": "write np.concatenate([np.ravel(a), np.ravel(b)])",
    "apply_along_axis": "write np.stack([f(row) for row in a])",
    "median partition percentile quantile": NO_ORDER,
    "atleast_1d atleast_2d": "write np.reshape(a, (1, -1)) for a matrix of one row",
    "average": "write np.sum(a * w) / np.sum(w), or np.mean(a)",
    "cbrt": "write np.where(a > 0, 1.0, -1.0) * np.abs(a) ** (1 / 3)",
    "trunc": CONSTANT,
    "column_stack": "write np.stack([a, b], axis=1)",
    "convolve": "write sum(w[j] * a[m - 1 - j:n - j] for j in range(m)), m and n the lengths of w and a",
    "correlate": "write sum(w[j] * a[j:n - m + 1 + j] for j in range(m)), m and n the lengths of w and a",
    "cross": "write np.stack of products of a[0], a[1], a[2]",
    "diag": "write np.diagonal(a) for a diagonal, a[:, None] * np.eye(n) for a diagonal matrix",
    "diff": "write a[1:] - a[:-1]",
    "empty_like": "write np.stack or np.concatenate of values instead of an array that is filled",
    "fmax": "write np.maximum(a, b)",
    "fmin": "write np.minimum(a, b)",
    "heaviside": "write np.where(a > 0, 1.0, 0.0)",
    "isfinite isinf isnan": FINITE,
    "linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.pinv linalg.qr linalg.svd linalg.svdvals": NO_ALGEBRA,
    "linalg.det": "write np.exp(np.linalg.slogdet(a)[1]) where it is positive",
    "linalg.matrix_power": "write a @ a",
    "logaddexp.reduce": "write m + np.log(np.sum(np.exp(a - m))), with m = np.max(a)",
    "logical_xor": "write (a & ~b) | (b & ~a)",
    "rollaxis": "write np.moveaxis",
    "nan_to_num nanmax nanmean nanmin nansum": "write np.sum, np.mean, np.max or np.min: inputs hold no NaN",
    "ptp": "write np.max(a) - np.min(a)",
}
"""Functions for which there is no word -> what to write instead; a row goes when its function becomes a word."""
FUNCTION_HINTS = {f"np.{name}": hint for names, hint in FUNCTIONS.items() for name in names.split()}

SYMBOLS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "true_divide": "/",
    "matmul": "@",
    "power": "**",
}
"""Operators by the names of NumPy's functions."""
PIECES = "write np.stack or np.concatenate of pieces, or np.where(mask, a, b) with a constant mask"
ARRAY_HINTS = {
    r"\]\s*=[^=]": PIECES,
    r"\b(?:np|numpy)\.((?:float|int|longdouble)\w*)\(": r"leave np.\1 out",
    r"\.eye\((\w+)\)\[(\w+)\]": r"write (\2[..., None] == np.arange(\1)).astype(float)",
    r"\b(?:np|numpy)\.array\(\s*[\[(]": "write np.stack or np.concatenate of values in the place of np.array",
    r"\b(\w+)\[(\w+)\]": r"let sample give \1[\2], as an input",
}
"""What to write instead where NumPy wants an array: patterns of the user's line -> advice."""


def unknown(name: str, known: Iterable[str]) -> str:
    """The message about a function for which there is no word."""
    near = did_you_mean(name, known)
    return (
        FUNCTION_HINTS.get(name)
        or f"no word of the vocabulary stands for it: {near}docs/vocabulary.md lists what there is"
    )


def misfit(arguments: Iterable[object], options: Mapping[str, object], expected: str) -> str:
    """The message about a call whose arguments no word has."""
    given = ", ".join([*map(described, arguments), *(f"{key}={value!r}" for key, value in options.items())])
    hint = next((f"; {OPTION_HINTS[key]}" for key in options if key in OPTION_HINTS), "")
    return f"called with {given}: expected {expected}{hint}"


def in_place(symbol: str) -> str:
    """The message about ``a += b`` of an array, or of entries of one."""
    if re.search(rf"\]\s*{re.escape(symbol)}=", user_source()):
        return f"a[i] {symbol}= b changes entries of an array: {PIECES}"
    return f"a {symbol}= b changes an array in place: write a = a {symbol} b"


def no_array() -> str:
    """The message about an array that was to hold values."""
    line = user_source()
    found = (match.expand(hint) for pattern, hint in ARRAY_HINTS.items() if (match := re.search(pattern, line)))
    stacked = "write np.stack or np.concatenate of values, and leave np.asarray out: inputs are arrays"
    return f"a NumPy array cannot hold a value of the problem: {next(found, stacked)}"


def other_norm(ord: object) -> str:
    """What to write instead of a norm that is not Euclidean."""
    if ord == 1:
        return "write np.sum(np.abs(a)) of a vector, np.max(np.sum(np.abs(a), axis=0)) of a matrix"
    if ord == float("inf"):
        return "write np.max(np.abs(a)) of a vector, np.max(np.sum(np.abs(a), axis=1)) of a matrix"
    if isinstance(ord, (int, float)) and ord > 2:
        return f"write np.sum(np.abs(a)**{ord}) ** (1 / {ord}) of a vector"
    return "singular values are not recorded yet: without ord it is the square root of the sum of squares"
