"""The pytest plug-in: a fixture `gradcheck`, whose failure message is the finding, and whose workers stay warm.

    def test_sigmoid_skip(gradcheck):
        gradcheck("sigmoid_skip", k=8, seeds=range(5), backends=["numpy"])

Its options are those of `gradcheck.check`, and `seeds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradcheck.api import Session
    from gradcheck.results import Report


@pytest.fixture(scope="session")
def gradcheck_session() -> Iterator[Session]:
    """The workers of all checks of a test run."""
    from gradcheck.api import Session

    with Session() as session:
        yield session


@pytest.fixture
def gradcheck(gradcheck_session: Session, request: pytest.FixtureRequest) -> Callable[..., list[Report]]:
    """`gradcheck(problem, seeds=..., **options)`: check cases of a problem, and fail with the first finding.

    The options are those of `gradcheck.Session.check`; `seeds` are several values of `seed`. The path of a problem's
    file starts from the test's folder or pytest's root folder if the file exists there. It returns the reports.
    """
    from gradcheck.errors import RequestError

    def checked(problem: Any, **options: Any) -> Report | RequestError:
        try:
            return gradcheck_session.check(problem, **options)
        except RequestError as error:  # returned, so that pytest shows no exception of which it is the cause
            return error

    def check(problem: Any = None, seeds: Iterable[int] | None = None, **options: Any) -> list[Report]:
        __tracebackhide__ = True
        if problem is None:
            given = ", ".join(f"{name}=..." for name in options)
            pytest.fail(f"check({given}): no problem: expected a loss, a name or a path first", pytrace=False)
        folders = (request.path.parent, request.config.rootpath) if isinstance(problem, (str, Path)) else ()
        found = next((str(folder / problem) for folder in folders if (folder / problem).is_file()), problem)
        if seeds is not None and "seed" in options:
            pytest.fail(f"seed={options['seed']!r}: expected none where seeds are given", pytrace=False)
        reports = []
        cases: list[dict[str, Any]] = [{}] if seeds is None else [{"seed": seed} for seed in seeds]
        for case in cases:
            report = checked(found, **options, **case)
            if isinstance(report, RequestError):
                pytest.fail(str(report), pytrace=False)
            if report.exit_code:
                pytest.fail(report.finding(), pytrace=False)
            reports.append(report)
        if not reports:
            pytest.fail("seeds is empty: nothing was checked: expected at least one", pytrace=False)
        return reports

    return check
