"""Which engine has which word, or why not: `python -m tests.conformance.support > docs/support.md`.

Each word's samples run in the engine alone, in float64 and in float32, at k = 3. Variants of an engine have its words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradcheck import problems
from gradcheck.execution import engines
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool
from gradcheck.execution.worker import Failure
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.results import Verdict
from tests.conformance.findings import FINDINGS
from tests.conformance.test_vocabulary import SAMPLES, drawn, source, worker
from tests.conformance.words import WORDS

DTYPES = ("float64", "float32")
SIZE = 3
YES, WRONG, NO = "yes", "wrong", "–"
HEADER = """# Words and engines

*yes*: the engine has the word, in float64 and in float32. *wrong*: it has the word, and its value or its gradient is
wrong (`tests/conformance/findings.py` has the evidence). A number leads to the reason why a word is unsupported.
Compiled, eager and forward variants of an engine have the words of that engine.
`python -m tests.conformance.support` makes this page.
"""


def lacking(pool: Pool, name: str, path: Path, word: str, dtype: str) -> str | None:
    """Why an engine lacks a word, or None; a finding may be that it crashes."""
    numbers = [number for number, sample in enumerate(SAMPLES) if sample in WORDS[word]]
    path.write_text(source({number: SAMPLES[number] for number in numbers}, SIZE))
    problem = problems.load(str(path))
    inputs = drawn(problem, SIZE, dtype, "uniform")
    request = Request(problem.path, graph_of(problem, SIZE), dtype, wrt_of(problem, SIZE), inputs)
    ((_, outcome),) = pool.evaluate(request, [name])
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
    pools: dict[str, Pool] = {}
    reasons: dict[str, int] = {}
    columns = list(names())
    cells: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in columns:
            pool = worker(pools, name)
            for place, word in enumerate(WORDS):
                path = Path(folder) / f"{name.replace('-', '_')}_{place}.py"
                found = [
                    lacking(pool, name, path, word, dtype) for dtype in DTYPES if dtype in engines.find(name).formats
                ]
                kept = [reason for reason in found if reason is not None]
                numbers = [str(reasons.setdefault(reason, len(reasons) + 1)) for reason in kept]
                wrong = any((name, word, dtype) in FINDINGS for dtype in DTYPES)
                cells[word, name] = ", ".join(f"({number})" for number in numbers) or (WRONG if wrong else YES)
            pool.close()
    print(HEADER)
    print(f"| | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for word in WORDS:
        shown = word.replace("|", "\\|")
        print(f"| `{shown}` | {' | '.join(cells[word, name] for name in columns)} |")
    print()
    for reason, number in reasons.items():
        print(f"{number}. {reason}")


if __name__ == "__main__":
    main()
