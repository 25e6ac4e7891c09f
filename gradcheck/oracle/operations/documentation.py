"""The page on the vocabulary, made from the table: ``python -m gradcheck.oracle.operations.documentation``."""

from __future__ import annotations

import inspect
import sys

from gradcheck.oracle.operations import OPERATORS, VOCABULARY, Word, words

INTRODUCTION = """\
# The vocabulary

What a problem's `loss(ops, …)` may use. Values carry `.T`, `.shape` and `.ndim`, broadcast like NumPy's, and meet
Python numbers anywhere. Each engine answers with its own primitives; the oracle knows of each word its value, its
gradient and what rounding may do to it. This page is made from the table of operations by
`python -m gradcheck.oracle.operations.documentation`.

*Worst* is the largest rounding error that a correct backend can make, beside what its operands' errors become:
relative to the result where nothing else is said, u the unit roundoff of its dtype, θ(n, u) = (1 + u)ⁿ − 1, ρ(n) the
same in the accumulator's precision with the rounding of the result, n the number of terms, λ the smallest normal
number, v the result. *Typical* is the number of roundings, 0.6 u each, that the standard deviation of that error is
worth. Underflow adds the smallest subnormal number.

The constants of functions come from the tables of CUDA, Sleef, glibc and NumPy, the rules of sums and products from
Higham, *Accuracy and Stability of Numerical Algorithms* (2002), that of `softmax` and `logsumexp` from Blanchard,
Higham and Higham (2021); the source of each stands beside it in `gradcheck/oracle/operations/`.

A comparison is a condition for `ops.where`, and nothing else. At a tie of `max`, `maximum`, `relu` or `abs` engines
differ: an answer that follows one of the usual conventions agrees, and another mean of the branches is undecided. An
answer is wrong where the shares of a `max`, or of both sides of a `maximum`, do not add up to one, as MXNet's `max`.
"""

WATCH = Word("watch", lambda: NotImplemented, "exact", "0")
FIRST = "| | meaning | worst | typical |\n| --- | --- | --- | --- |"


def page() -> str:
    """The page in Markdown."""
    named = {**VOCABULARY, "watch": WATCH}
    rows = [row(f"ops.{signature(named[name])}", named[name]) for name in sorted(named)]
    operators = [row(spelling(symbol), OPERATORS[symbol]) for symbol in OPERATORS]
    return "\n".join([INTRODUCTION, "## Words", "", FIRST, *rows, "", "## Operators", "", FIRST, *operators, ""])


def row(spelled: str, word: Word) -> str:
    """One row of a table."""
    cells = (f"`{spelled}`", meaning(word), word.worst, word.typical)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def meaning(word: Word) -> str:
    """The first line of its docstring."""
    if word is WATCH:
        return "The value itself, under a name: it and its adjoint are compared."
    return str(inspect.getdoc(word.function)).splitlines()[0].replace("``", "`")


def signature(word: Word) -> str:
    """Its name and parameters, without their types."""
    if word is WATCH:
        return "watch(name, a)"
    return words.signature(word.name, word.function)


def spelling(symbol: str) -> str:
    """An operator between its operands."""
    forms: dict[str, str] = {
        "[]": "a[i, j:k]",
        "unary -": "-a",
        "**": "a ** p",
        ">": "a > b, a < b",
        ">=": "a >= b, a <= b",
    }
    return forms.get(symbol, f"a {symbol} b")


if __name__ == "__main__":
    sys.stdout.write(page())
