"""Files of outcomes: what a run has found for each problem, dtype and backend, and what has changed since.

A file begins with its sizes and seeds, `# k = 3, seed 0`, and has one line for each problem, dtype and backend:
`PROBLEM DTYPE BACKEND VERDICT`, then the largest error in units of the bound, or the reason why there is no such error.
The verdict is the most severe one of all cases. `#` begins a comment. Only verdicts are compared: numbers differ a
little from processor to processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gradcheck.errors import RequestError
from gradcheck.outcomes import Row
from gradcheck.results import Verdict
from gradcheck.runs.plan import listed
from gradcheck.settings import OPTIONS, Settings
from gradcheck.text.wording import shortened, two_digits

Place = tuple[str, str, str]
"""What a line is about: problem, dtype and backend."""
MOST_BYTES = 1 << 24
"""The largest file of outcomes: more than 100,000 lines."""
LONGEST_SHOWN = 100
"""Characters of a line in a message."""


def lines(rows: Iterable[Row], header: str) -> Iterator[str]:
    """A file of outcomes."""
    yield f"{header}\n"
    for row in sorted(rows, key=place):
        outcome = row.reason if row.reason else two_digits(row.bound_ratio)
        yield f"{' '.join(place(row))} {row.verdict} {outcome}\n"


def header(settings: Settings) -> str:
    """The line with the sizes and seeds of a file of outcomes, and with what else is not the default."""
    words = {name: listed(settings.values.get(name, (getattr(settings, name),))) for name in ("k", "seed")}
    others = [
        f", {name} {listed(values)}"
        for name in ("distribution", "scale", "order")
        if (values := settings.values.get(name, (getattr(settings, name),))) != (OPTIONS[name].default,)
    ]
    return f"# k = {words['k']}, seed {words['seed']}{''.join(others)}"


def place(row: Row) -> Place:
    """What a row is about."""
    return row.problem, row.dtype, row.backend


def read(path: Path, header: str) -> dict[Place, Verdict]:
    """The verdicts in a file of outcomes.

    Raises:
        RequestError: it cannot be read, is for other sizes or seeds, or has a line that is not an outcome.
    """
    text = _text(path)
    if header not in text.splitlines():
        raise RequestError(
            f"{path}: begins with {_beginning(text)!r}: expected outcomes of this run's size and seed, {header!r}"
        )
    expected: dict[Place, Verdict] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=4)
        if not words:
            continue
        if len(words) < 4 or words[3] not in list(Verdict):
            raise RequestError(f"{path}:{number}: {_beginning(line)!r}: expected PROBLEM DTYPE BACKEND VERDICT")
        expected[words[0], words[1], words[2]] = Verdict(words[3])
    return expected


def _text(path: Path) -> str:
    """The text of a file of outcomes."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RequestError(f"{str(path)!r}: more than {MOST_BYTES} bytes: expected a file of outcomes")
        return content.decode()
    except OSError as error:
        raise RequestError(f"{str(path)!r}: {error.strerror}: expected a file of outcomes") from None
    except ValueError as error:  # text that is not UTF-8; an invalid path
        raise RequestError(f"{str(path)!r}: {error}: expected a file of outcomes") from None


def _beginning(text: str) -> str:
    """As much of the first line as fits in a message."""
    first = next(iter(text.splitlines()), "")
    return shortened(first, LONGEST_SHOWN)


def drift(found: Iterable[Row], expected: Mapping[Place, Verdict]) -> Iterator[str]:
    """The unexpected outcomes, one line for each."""
    for row in found:
        known = expected.get(place(row))
        if row.verdict != known:
            expectation = f"expected {known}" if known else "not in the file"
            reason = f": {row.reason}" if row.reason else ""
            yield f"{' '.join(place(row))}: {expectation}, found {row.verdict}{reason}"
