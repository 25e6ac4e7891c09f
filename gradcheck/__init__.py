"""Evaluate one loss and its gradients in many engines, and report with a certificate which of them is wrong.

>>> import gradcheck
>>> report = gradcheck.check("sigmoid_skip", k=8, dtype="float32", backends=["numpy"])
>>> report.assert_agrees()

Importing this loads neither NumPy nor a framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcheck import shown
from gradcheck._version import __version__
from gradcheck.errors import WithoutFrames

__all__ = [
    "GradcheckError",
    "Problem",
    "Report",
    "RequestError",
    "Session",
    "Summary",
    "__version__",
    "check",
    "load_problem",
    "sweep",
    "verify",
]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradcheck.api import Session
    from gradcheck.errors import GradcheckError, RequestError
    from gradcheck.outcomes import Summary
    from gradcheck.problems import Problem
    from gradcheck.results import Report

_HOMES = {
    "GradcheckError": "errors",
    "Problem": "problems",
    "Report": "results",
    "RequestError": "errors",
    "Session": "api",
    "Summary": "outcomes",
}


def _formats() -> shown.Formats:
    from gradcheck import reports

    return reports


shown.use(_formats)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradcheck' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"gradcheck.{_HOMES[name]}"), name)


def check(problem: Any, **options: Any) -> Report:
    """Evaluate one case of a problem in several backends, and judge the answers.

    `Session.check` describes the arguments; a `gradcheck.Session` keeps its workers for the next check.

    >>> import numpy as np, gradcheck
    >>> def loss(a):
    ...     return np.sum(a**2)
    >>> def mine(a):
    ...     return loss(a), {"a": 3 * a}
    >>> report = gradcheck.check(loss, inputs={"a": (3,)}, gradients={"mine": mine})
    >>> report["mine"].verdict.value, report["mine"].first_wrong.pattern
    ('differs', '1.5 × the truth')

    Args:
        problem: a problem's name, the path of its file, or its loss as a function of the inputs.
        **options: for a function `inputs` (name -> shape), `wrt`, `gradients` (name -> function) and `sample`; and the
            options of `gradcheck run`, such as `k`, `seed`, `dtype` and `backends`, by the names in docs/options.md.

    Raises:
        RequestError: the request is wrong; nothing was run.
    """
    from gradcheck.api import Session

    __tracebackhide__ = True
    with WithoutFrames(), Session() as session:
        return session.check(problem, **options)


def sweep(problem: Any, **options: Any) -> Summary:
    """Evaluate many cases of one problem or several in several backends, and judge the answers.

    >>> import gradcheck
    >>> summary = gradcheck.sweep("sigmoid_skip", k=[1, 4], seed=range(5), backends=["numpy"])
    >>> summary.assert_agrees()
    >>> summary.cases
    10

    Args:
        problem: as for `check`, or a list of problems.
        **options: as for `check`. `k`, `seed`, `dtype`, `distribution` and `scale` may be lists, or ranges of whole
            numbers; "all" means each dtype or distribution.

    Returns:
        The summary; `.assert_agrees()` raises an AssertionError with the finding.

    Raises:
        RequestError: the request is wrong.
    """
    from gradcheck.api import Session

    __tracebackhide__ = True
    with WithoutFrames(), Session() as session:
        return session.sweep(problem, **options)


def verify(
    problem: Any,
    *,
    inputs: Mapping[str, Any],
    answers: Mapping[str, Any],
    wrt: Sequence[str] | None = None,
    gate: str = "rounding",
) -> Report:
    """Judge answers that were computed elsewhere, in any framework, by the truth at the same inputs.

    >>> import numpy as np, gradcheck
    >>> a = np.array([1.0, 2.0])
    >>> answers = {"mine": (np.sum(a**3), {"a": 3 * a**2})}
    >>> gradcheck.verify(lambda a: np.sum(a**3), inputs={"a": a}, answers=answers).assert_agrees()

    Args:
        problem: a problem's name, the path of its file, or its loss as a function of the inputs.
        inputs: arrays by name, on which the answers were computed.
        answers: by name: (loss, gradients by name), with the watched values as an optional third; or a mapping with
            loss, gradients, values, adjoints and dtype, as in a record. Without a dtype, that of the gradients.
        wrt: where `problem` is a function: the inputs whose gradients are wanted; default: every floating one.
        gate: as for `check`.

    Returns:
        The report; `.assert_agrees()` raises an AssertionError with the finding.

    Raises:
        RequestError: an array is missing, unknown or of a wrong shape, or an answer is none.
    """
    import sys

    from gradcheck import api

    caller = sys._getframe(1)
    again = f"{caller.f_code.co_filename}:{caller.f_lineno}"
    __tracebackhide__ = True
    with WithoutFrames():
        return api.verify(problem, inputs, answers, wrt, gate, again)


def load_problem(problem: Any, **parts: Any) -> Problem:
    """A problem by its name, the path of its file, or its loss as a function.

    >>> import gradcheck
    >>> problem = gradcheck.load_problem("sigmoid_skip")
    >>> problem.shapes(2)
    {'A': (2, 2), 'B': (2, 2), 'C': (2, 2), 'x': (2,)}
    >>> problem.gradients
    ('manual', 'numpy')

    Args:
        problem: as for `check`.
        **parts: where `problem` is a function: `inputs`, `wrt`, `gradients`, `sample`, `hessian_products` and
            `implementations`, as for `Session.check`.

    Raises:
        ProblemError: there is no such problem, or it is not complete.
    """
    from gradcheck.api import named
    from gradcheck.problems import load

    __tracebackhide__ = True
    with WithoutFrames():
        return load(named(problem, **parts))
