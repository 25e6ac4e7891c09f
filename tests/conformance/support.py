"""Which engine has which word, or why not: `python -m tests.conformance.support > docs/support.md`.

Each word's samples run in the engine alone, in float64 and in float32, at k = 3. Variants of an engine have its words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradcheck.execution import engines
from gradcheck.execution.worker import Failure
from gradcheck.results import Verdict
from gradcheck.testing import WORDS, Suite
from gradcheck.testing.problems import WORD_OF, drawn
from tests.conformance.findings import FINDINGS

DTYPES = ("float64", "float32")
SIZE = 3
YES, WRONG, NO = "yes", "wrong", "–"
HEADER = """# Words and engines

*yes*: the engine has the word, in float64 and in float32. *wrong*: it has the word, and its value or its gradient is
wrong (`tests/conformance/findings.py` has the evidence). A number leads to the reason why a word is unsupported.
Compiled, eager and forward variants of an engine have the words of that engine.
`python -m tests.conformance.support` makes this page.
"""


def lacking(suite: Suite, name: str, word: str, dtype: str) -> str | None:
    """Why an engine lacks a word, or None; a finding may be that it crashes."""
    written = suite.written(tuple(number for number, each in enumerate(WORD_OF) if each == word), SIZE)
    outcome = suite.answer(name, written, dtype, drawn(written.problem, SIZE, dtype, "uniform"))
    if not isinstance(outcome, Failure):
        return None
    if outcome.verdict is Verdict.UNSUPPORTED:
        return f"{dtype}: {outcome.reason}"
    assert (name, word, dtype) in FINDINGS, outcome
    return None


def names() -> Iterator[str]:
    """The engines that are no variant of another one; witnesses are variants."""
    for name in engines.paths():
        if engines.find(name).variant_of is None:
            yield name


def main() -> None:
    """Print the page."""
    reasons: dict[str, int] = {}
    columns = list(names())
    cells: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder, Suite(Path(folder)) as suite:
        for name in columns:
            for word in WORDS:
                found = [lacking(suite, name, word, dtype) for dtype in DTYPES if dtype in engines.find(name).formats]
                kept = [reason for reason in found if reason is not None]
                numbers = [str(reasons.setdefault(reason, len(reasons) + 1)) for reason in kept]
                wrong = any((name, word, dtype) in FINDINGS for dtype in DTYPES)
                cells[word, name] = ", ".join(f"({number})" for number in numbers) or (WRONG if wrong else YES)
    print(HEADER)
    print(f"| word | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for word in WORDS:
        shown = word.replace("|", "\\|")
        print(f"| `{shown}` | {' | '.join(cells[word, name] for name in columns)} |")
    print()
    for reason, number in reasons.items():
        print(f"{number}. {reason}")


if __name__ == "__main__":
    main()
