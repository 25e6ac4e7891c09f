"""The table of operations: one row each, with its value, gradients and error rules side by side.

A new operation is one declaration in one of these files, and nothing else.
"""

# The words of most losses. `RULES` imports the other files when a loss has another word: that takes 10 ms.
from gradcheck.oracle.operations import contractions, elementary, movements
from gradcheck.oracle.operations.base import Operation, Recorder, Shape, Variable
from gradcheck.oracle.operations.rules import RULES, Rule
from gradcheck.oracle.operations.terms import Array, Bounded, Decision, Doubts, Errors, Spread, Values, Variances

__all__ = [
    "RULES",
    "Array",
    "Bounded",
    "Decision",
    "Doubts",
    "Errors",
    "Operation",
    "Recorder",
    "Rule",
    "Shape",
    "Spread",
    "Values",
    "Variable",
    "Variances",
    "contractions",
    "elementary",
    "movements",
]
