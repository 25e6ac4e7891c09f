"""The page on the vocabulary, made from the table: ``python -m gradcheck.oracle.operations.documentation``."""

from __future__ import annotations

import inspect
import sys

from gradcheck.graphs import OPERATORS, VOCABULARY
from gradcheck.graphs.numpy import KNOWN, METHODS
from gradcheck.graphs.vocabulary import DeclaredWord
from gradcheck.graphs.words.making import MAKING, signature
from gradcheck.oracle.operations import RULES

INTRODUCTION = """\
# The vocabulary

The first tables list the words and operators of a `loss(ops, …)`; the last section lists the functions of a loss in
NumPy. Values have `.T`, `.mT`, `.shape` and `.ndim`, and broadcast like NumPy's. They combine with Python numbers,
arrays and lists, which are constants. Each engine computes a word with its own primitive. For each word the oracle
knows the value, the gradient and the possible rounding errors. `python -m gradcheck.oracle.operations.documentation`
makes this page from the table of operations.

*Worst* is the largest rounding error that a correct backend can make, in addition to the errors that come from the
operands. It is relative to the result unless the table states otherwise. u is the unit roundoff of the dtype,
θ(n, u) = (1 + u)ⁿ − 1, ρ(n) the same in the accumulator's precision with the rounding of the result, n the number of
terms, λ the smallest normal number, v the result. *Typical* is the standard deviation of that error as a number of
roundings of 0.6 u each. Underflow adds the smallest subnormal number.

The constants of functions come from the tables of CUDA, Sleef, glibc and NumPy. The rules of sums and products come
from Higham, *Accuracy and Stability of Numerical Algorithms* (2002), the rule of `softmax` and `logsumexp` from
Blanchard, Higham and Higham (2021). `gradcheck/oracle/operations/` cites the source beside each constant.

A comparison is a condition for `ops.where`. So are booleans that `sample` gives. A piece of conditions is a condition,
and so are conditions in other places or another shape (`ops.reshape`, `.T`). Of integers these are integers.
Comparisons of integers are exact in every dtype, and so are their sums, differences and products, which are integers as
in NumPy: `tokens + 1`. All other words make floats of integers, by `ops.astype`. A condition among numbers, as in
`a * (a > 0)`, is 1 where it holds and 0 elsewhere. Conditions alone combine by `&`, `|` and `~`, and `ops.sum` and
`ops.mean` count them.

Indices are integers that `sample` gives or that are computed of them, or arrays of integers of the loss itself:
`E[tokens]`, `a[np.arange(n), labels]`, with index arrays side by side as in NumPy. An index that comes several times
adds up in the gradient. Each is 0 or more and below the length of its axis. Constant ones may be negative in `a[…]`,
and a constant mask there stands for the places where it is true.

At a tie of `max`, `maximum`, `relu` or `abs` engines differ: an answer that follows one of the usual conventions
agrees, and another mean of the branches is undecided. An answer is wrong if the shares of a `max`, or of both sides of
a `maximum`, do not add up to one, as in MXNet's `max`.

Linear algebra takes matrices along the last two axes, with any axes before. `cholesky` takes symmetric matrices, whose
adjoints engines give differently: their symmetric part, or their lower part with doubled entries. So only the symmetric
part is compared. Entries that depend on a matrix too ill-conditioned for the dtype are undecided, with its condition
number. `ops.slogdet(a)` is a pair; its first part, the sign, has no gradient and is not recorded.
"""

FIRST = "| | meaning | worst | typical |\n| --- | --- | --- | --- |"


def page() -> str:
    """The page in Markdown."""
    watch = ("ops.watch(name, a)", "The value itself, under a name: it and its adjoint are compared.", "exact", "0")
    unstack = ("ops.unstack(a, axis=0)", "The pieces along an axis, without it: a tuple.", "exact", "0")
    inexact = "u where the dtype has no such number"
    made = {name: (signature(name), str(MAKING[name].__doc__), inexact, "1") for name in MAKING}
    named = (
        {"watch": watch, "unstack": unstack}
        | made
        | {name: described(word.signature, word) for name, word in VOCABULARY.items()}
    )
    words = [row(*named[name]) for name in sorted(named)]
    operators = [row(*described(spelling(name, word.symbol), word)) for name, word in OPERATORS.items()]
    tables = ["## Words", "", FIRST, *words, "", "## Operators", "", FIRST, *operators, ""]
    return "\n".join([INTRODUCTION, *tables, *numpy()])


def numpy() -> list[str]:
    """The section on losses in NumPy."""
    methods = ", ".join(f"`.{name}`" for name in sorted({*METHODS, "reshape"}))
    return [
        "## NumPy",
        "",
        "A loss without `ops` calls NumPy's functions. These become words and operators:",
        "",
        f"{', '.join(f'`{name}`' for name in KNOWN)}. gradcheck does not install SciPy.",
        "",
        f"Values also have the methods {methods}, `len`, iteration, and `None` in an index.",
        "",
    ]


def described(spelled: str, word: DeclaredWord) -> tuple[str, str, str, str]:
    """A word's spelling, the first line of its documentation, and its error rules."""
    rule = RULES[word.name]
    return spelled, str(inspect.getdoc(word.rule)).splitlines()[0].replace("``", "`"), rule.worst, rule.typical


def row(spelled: str, *cells: str) -> str:
    """One row of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in (f'`{spelled}`', *cells))} |"


def spelling(name: str, symbol: str) -> str:
    """An operator between its operands."""
    forms: dict[str, str] = {
        "[]": "a[i, j:k]",
        "[i]": "a[indices], a[:, i, j]",
        "unary -": "-a",
        "~": "~a",
        "**": "a ** b" if name == "power" else "a ** p",
        ">": "a > b, a < b",
        ">=": "a >= b, a <= b",
    }
    return forms.get(symbol, f"a {symbol} b")


if __name__ == "__main__":
    sys.stdout.write(page())
