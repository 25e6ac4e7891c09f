"""Correct answers to every shipped problem, from default backends or other engines: none may be refused.

Which answers are undecided, or unsupported, is in a table with the reasons.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable

import click

import gradcheck
from benchmarks.common import Table, command
from gradcheck import problems
from gradcheck.execution import engines
from gradcheck.results import Verdict

SHIPPED = [name for name, path in problems.names().items() if path.parent == problems.FOLDER]
DTYPES = ("float64", "float32")
SIZES = (1, 3, 16, 64)
SMALL_SIZES = (3,)
ENTRY_BY_ENTRY = ("central-difference", "complex-step")
"""Backends that evaluate the loss for each entry of a gradient: they do not run above `LARGEST_BY_ENTRY`."""
LARGEST_BY_ENTRY = 16
TIMEOUT = 600.0
COLUMNS = {
    Verdict.AGREES: "agree",
    Verdict.DIFFERS: "differ",
    Verdict.UNDECIDED: "undecided",
    Verdict.UNSUPPORTED: "unsupported",
}


def shipped(small: bool, seeds: int, every_engine: bool, backend: tuple[str, ...], k: tuple[int, ...]) -> list[Table]:
    """Check every shipped problem in float64 and float32, at k = 1, 3, 16 and 64, in its default backends."""
    table, commands = Table("Shipped problems with correct gradients"), Table("Commands that show anything else")
    reasons: Counter[tuple[str, str, str, str, str]] = Counter()
    cases = list(itertools.product(DTYPES, SMALL_SIZES if small else k, range(1 if small else seeds)))
    with gradcheck.Session() as session:
        session.check(SHIPPED[0])  # so that no row pays for importing the frameworks
        for name in SHIPPED:
            began, verdicts = time.perf_counter(), Counter[Verdict]()
            for dtype, size, seed in cases:
                named = engines.paths() if every_engine else backend
                backends = with_gradients(name, size, named) if named else ()
                report = session.check(name, k=size, seed=seed, dtype=dtype, backends=backends, timeout=TIMEOUT)
                verdicts.update(each.verdict for each in report.backends)
                for each in report.backends:
                    if each.verdict is not Verdict.AGREES:
                        reasons[name, dtype, each.spec, each.verdict, str(each.reason)] += 1
                    if each.verdict not in (Verdict.AGREES, Verdict.UNSUPPORTED):
                        commands.rows.append(
                            {"command": report.case.replay, "backend": each.spec, "verdict": each.verdict}
                        )
            table.rows.append(row(name, verdicts, (time.perf_counter() - began) / 60))
            click.echo(f"{name}: {table.rows[-1]['minutes']:.2g} minutes", err=True)  # a run may take an hour
    table.rows.append({"problem": "all", **{column: total(table, column) for column in list(table.rows[0])[1:]}})
    return [table, why(reasons), commands]


def with_gradients(name: str, k: int, named: Iterable[str]) -> list[str]:
    """Every hand-written gradient of a problem, and the named backends that are not too slow at a size."""
    return [
        *problems.load(name).gradients,
        *(each for each in named if k <= LARGEST_BY_ENTRY or each not in ENTRY_BY_ENTRY),
    ]


def row(name: str, verdicts: Counter[Verdict], minutes: float) -> dict[str, str | int | float | None]:
    """The counts of one problem."""
    found = {column: verdicts[verdict] for verdict, column in COLUMNS.items()}
    no_answer = sum(count for verdict, count in verdicts.items() if verdict not in COLUMNS)
    return {"problem": name, "answers": verdicts.total(), **found, "no answer": no_answer, "minutes": minutes}


def why(reasons: Counter[tuple[str, str, str, str, str]]) -> Table:
    """Why answers do not agree: a row for each problem, dtype and backend, and each reason."""
    columns = ("problem", "dtype", "backend", "verdict", "reason")
    table = Table("Why answers do not agree")
    for key, count in reasons.items():
        table.rows.append({**dict(zip(columns, key, strict=True)), "answers": count})
    return table


def total(table: Table, column: str) -> int | float:
    """The sum of a column."""
    return sum(cell for each in table.rows if isinstance(cell := each[column], (int, float)))


if __name__ == "__main__":
    command(
        shipped,
        click.Option(["--seeds"], default=20, help="How many cases of each size.  [default: 20]"),
        click.Option(["--every-engine"], is_flag=True, help="Run every engine, not only the default ones."),
        click.Option(["--backend", "-b"], multiple=True, help="Run this one, and the hand-written gradients."),
        click.Option(["--k"], multiple=True, type=int, default=SIZES, help="A size.  [default: 1, 3, 16, 64]"),
    )()
