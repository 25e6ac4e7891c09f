"""The matrix: many backends, problems and dtypes, the outcome of each cell, and the unexpected outcomes.

A file of outcomes begins with its size and seed, `# k = 3, seed 0`, and has one line for each cell, `PROBLEM DTYPE
BACKEND VERDICT`, then the largest error in units of the bound, or the reason why there is no such error. `#` begins a
comment. Only verdicts are compared: numbers differ a little from processor to processor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradcheck import problems
from gradcheck.errors import RequestError
from gradcheck.execution.selection import default_backends
from gradcheck.results import Backend, Cell, RunVerdict, Verdict
from gradcheck.runs.runner import Listener, Runner
from gradcheck.settings import Settings
from gradcheck.text.wording import shortened, two_digits

Place = tuple[str, str, str]
"""The place of a cell: problem, dtype and backend."""
MOST_BYTES = 1 << 24
"""The largest file of outcomes: more than 100,000 cells."""
LONGEST_SHOWN = 100
"""Characters of a line in a message."""


@dataclass(frozen=True)
class Plan:
    """A plan of a matrix; empty sequences mean all shipped problems, and the backends that each names itself.

    Attributes:
        problems: their names or files.
        dtypes: their names.
        settings: those of every cell except problem and dtype. A hand-written gradient among the backends has cells
            only for problems that have it.
    """

    problems: Sequence[str]
    dtypes: Sequence[str]
    settings: Settings


def cells(plan: Plan, listener: Listener) -> Iterator[Cell]:
    """Run every cell, the backends of one problem and dtype side by side.

    Raises:
        RequestError: a name is unknown.
    """
    names = plan.problems or [name for name, path in problems.names().items() if path.parent == problems.FOLDER]
    rows = {name: applicable(name, plan) for name in names}
    if not any(rows.values()):
        requested = ", ".join(plan.settings.backend)
        raise RequestError(f"backend {requested}: no gradient of {', '.join(names)}: expected one that they have")
    with Runner(listener) as runner:
        for name, dtype in itertools.product(names, plan.dtypes):
            if not rows[name]:
                continue
            chosen = replace(plan.settings, problem=name, dtype=dtype, backend=rows[name])
            for backend in runner.run(chosen).backends:
                yield outcome(name, dtype, backend)


def applicable(name: str, plan: Plan) -> tuple[str, ...]:
    """The backends that a problem can have: names of hand-written gradients may be those of another problem."""
    timeout = plan.settings.timeout
    problem = problems.load(name, timeout)
    named = plan.settings.backend or default_backends(problem)
    others = {gradient for each in (*problems.names(), *plan.problems) for gradient in hand_written(each, timeout)}
    return tuple(spec for spec in named if spec in problem.gradients or spec not in others)


def hand_written(name: str, timeout: float) -> Sequence[str]:
    """The hand-written gradients of a problem; none if its file is wrong: its run reports the reason."""
    try:
        return problems.load(name, timeout).gradients
    except RequestError:
        return ()


def outcome(problem: str, dtype: str, backend: Backend) -> Cell:
    """The cell of one backend's answer."""
    ratios = [error.max_bound_ratio for error in backend.measured().values()]
    return Cell(
        problem=problem,
        dtype=dtype,
        backend=backend.spec,
        verdict=backend.verdict,
        bound_ratio=max(ratios, default=None),
        reason=backend.reason,
    )


def exit_code(found: Iterable[Cell]) -> int:
    """The exit code of a run of all cells, where unsupported cells are not a fault, unless no cell has an answer."""
    supported: list[Verdict] = [cell.verdict for cell in found if cell.verdict is not Verdict.UNSUPPORTED]
    return RunVerdict.of(supported or [Verdict.UNSUPPORTED]).exit_code


def lines(found: Iterable[Cell], plan: Plan) -> Iterator[str]:
    """A file of outcomes."""
    yield f"{header(plan)}\n"
    for cell in sorted(found, key=place):
        outcome = cell.reason if cell.reason else two_digits(cell.bound_ratio)
        yield f"{' '.join(place(cell))} {cell.verdict} {outcome}\n"


def header(plan: Plan) -> str:
    """The line with the size and seed of a file of outcomes."""
    return f"# k = {plan.settings.k}, seed {plan.settings.seed}"


def place(cell: Cell) -> Place:
    """The place of a cell."""
    return cell.problem, cell.dtype, cell.backend


def read(path: Path, plan: Plan) -> dict[Place, Verdict]:
    """The verdicts in a file of outcomes.

    Raises:
        RequestError: it cannot be read, is for another size or seed, or has a line that is not an outcome.
    """
    text = _text(path)
    if header(plan) not in text.splitlines():
        raise RequestError(
            f"{path}: begins with {_beginning(text)!r}: expected outcomes of this run's size and seed, {header(plan)!r}"
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


def drift(found: Iterable[Cell], expected: Mapping[Place, Verdict]) -> Iterator[str]:
    """The unexpected outcomes, one line for each."""
    for cell in found:
        known = expected.get(place(cell))
        if cell.verdict != known:
            expectation = f"expected {known}" if known else "not in the file"
            reason = f": {cell.reason}" if cell.reason else ""
            yield f"{' '.join(place(cell))}: {expectation}, found {cell.verdict}{reason}"
