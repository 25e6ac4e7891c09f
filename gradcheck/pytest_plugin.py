"""The pytest plug-in: a fixture `gradcheck`, whose failure message is the finding, and whose workers stay warm.

    def test_sigmoid_skip(gradcheck):
        gradcheck("sigmoid_skip", k=8, seeds=range(5), backends=["numpy"])

    def test_my_kernel(gradcheck):
        gradcheck(fused, (x, w), reference=plain)

Its options are those of `gradcheck.check`, also `inputs` as arrays, which hypothesis may draw, and `seeds`; for
tensors, and arrays of JAX, they are those of `gradcheck.torch.check` and `gradcheck.jax.check`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradcheck.api import Session
    from gradcheck.results import Report


MOST_SHOWN = 20
"""The largest number of bad seeds, beside the first one, of which a failure says more than their number."""
DOORS = {"torch": "gradcheck.torch", "jax": "gradcheck.jax", "jaxlib": "gradcheck.jax"}
"""The package of an array -> the module whose `check` takes such arrays."""


@pytest.fixture(scope="session")
def gradcheck_session() -> Iterator[Session]:
    """The workers of all checks of a test run."""
    from gradcheck.api import Session

    with Session() as session:
        yield session


@pytest.fixture(scope="module")  # hypothesis refuses fixtures of one function
def gradcheck(gradcheck_session: Session, request: pytest.FixtureRequest) -> Callable[..., list[Report]]:
    """`gradcheck(problem, inputs, seeds=..., **options)`: check cases of a problem, and fail with the findings.

    The options are those of `gradcheck.Session.check`; `seeds` are several values of `seed`, of which all are checked
    before the test fails. `inputs` may be arrays by name. The path of a problem's file starts from the test's folder or
    pytest's root folder if the file exists there. If the problem is a function of tensors, or of arrays of JAX, the
    options are those of `gradcheck.torch.check` or `gradcheck.jax.check`; with `dtypes`, each dtype has a report. It
    returns the reports.
    """
    from gradcheck.errors import RequestError

    def checked(problem: Any, door: str | None, **options: Any) -> list[Report] | RequestError:
        check = importlib.import_module(door).check if door else gradcheck_session.check
        try:
            report = check(problem, **options)
            return [*report.values()] if isinstance(report, dict) else [report]
        except RequestError as error:  # returned, so that pytest shows no exception of which it is the cause
            return error

    def check(
        problem: Any = None, inputs: Any = None, seeds: Iterable[int] | None = None, **options: Any
    ) -> list[Report]:
        __tracebackhide__ = True
        options = options if inputs is None else {**options, "inputs": inputs}
        folders = (request.path.parent, request.config.rootpath) if isinstance(problem, (str, Path)) else ()
        found = next((str(folder / problem) for folder in folders if (folder / problem).is_file()), problem)
        door = door_of(inputs) if callable(found) else None
        if wrong := mistake(found, door, seeds, options):
            pytest.fail(wrong, pytrace=False)
        reports: list[Report] = []
        cases: list[dict[str, Any]] = [{}] if seeds is None else [{"seed": seed} for seed in seeds]
        for case in cases:
            several = checked(found, door, **options, **case)
            if isinstance(several, RequestError):
                pytest.fail(str(several), pytrace=False)
            reports += several
        if not reports:
            pytest.fail("seeds is empty: nothing was checked: expected at least one", pytrace=False)
        if any(report.exit_code for report in reports):
            pytest.fail(finding(reports), pytrace=False)
        return reports

    return check


def mistake(problem: Any, door: str | None, seeds: Iterable[int] | None, options: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of the fixture, in one line; None if nothing."""
    from gradcheck.api import are_given

    if problem is None:
        given = ", ".join(f"{name}=..." for name in options)
        return f"check({given}): no problem: expected a loss, a name or a path first"
    if not (seeds is None or hasattr(seeds, "__iter__")):
        return (
            f"seeds={seeds!r}: expected several whole numbers, such as range(3); of a single one write seed={seeds!r}"
        )
    if seeds is not None and "seed" in options:
        return f"seed={options['seed']!r}: expected none where seeds are given"
    if seeds is not None and door is None and are_given(problem, options.get("inputs")):
        return "seeds: expected none where inputs are arrays: they are one case"
    return None


def finding(reports: Sequence[Report]) -> str:
    """The findings of several reports: the first bad one in full, and a line and the command for each other one."""
    first, *others = [report for report in reports if report.exit_code]
    if len(reports) == 1:
        return first.finding()
    several = len({report.case.dtype for report in reports}) > 1
    names = {id(each): f"{each.case.seed}{f' in {each.case.dtype}' if several else ''}" for each in (first, *others)}
    what = "seeds and dtypes" if several else "seeds"
    lines = [f"{len(names)} of {len(reports)} {what} do not agree: {', '.join(names.values())}", first.finding()]
    for report in others[:MOST_SHOWN]:
        why = next(backend.finding()[0] for backend in report.printable().backends if backend.verdict != "agrees")
        lines += [f"seed {names[id(report)]}: {why}", f"again: {report.case.replay}"]
    return "\n".join(lines)


def door_of(inputs: Any) -> str | None:
    """The module that checks functions of such arrays in this process; None if they are shapes."""
    if isinstance(inputs, (tuple, list, Mapping)):
        several = inputs.values() if isinstance(inputs, Mapping) else inputs
        return next((door for door in map(door_of, several) if door), None)
    packages = (kind.__module__.partition(".")[0] for kind in type(inputs).__mro__)
    return next((DOORS[package] for package in packages if package in DOORS), None)
