"""The table of operations: one row each, with its value, gradients and error rules side by side.

A new operation is one declaration in one of these files, and nothing else.
"""

from gradcheck.oracle.operations import (
    arithmetic,
    branches,
    exponentials,
    movements,
    powers,
    products,
    reductions,
    smooth,
)
from gradcheck.oracle.operations.base import Array, Errors, Operation, Recorder, Shape, Term, Variable
from gradcheck.oracle.operations.rules import RULES, Rule

__all__ = [
    "RULES",
    "Array",
    "Errors",
    "Operation",
    "Recorder",
    "Rule",
    "Shape",
    "Term",
    "Variable",
    "arithmetic",
    "branches",
    "exponentials",
    "movements",
    "powers",
    "products",
    "reductions",
    "smooth",
]
