"""Evaluate one loss and its gradients in many engines, and report with a certificate which of them is wrong.

>>> import gradcheck
>>> report = gradcheck.check("sigmoid_skip", k=8, dtype="float32", backends=["numpy"])
>>> report.assert_agrees()

Importing this loads neither NumPy nor a framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcheck._version import __version__

__all__ = ["GradcheckError", "Problem", "Report", "RequestError", "Session", "__version__", "check", "load_problem"]

if TYPE_CHECKING:
    from gradcheck.api import Session
    from gradcheck.errors import GradcheckError, RequestError
    from gradcheck.problems import Problem
    from gradcheck.results import Report

_HOMES = {
    "GradcheckError": "errors",
    "Problem": "problems",
    "Report": "results",
    "RequestError": "errors",
    "Session": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradcheck' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"gradcheck.{_HOMES[name]}"), name)


def check(problem: Any, **options: Any) -> Report:
    """Evaluate one case of a problem in several backends, and judge the answers.

    `Session.check` describes the arguments; a `gradcheck.Session` keeps its workers for the next check.

    Args:
        problem: a problem's name, the path of its file, or its loss as a function of the inputs.
        **options: for a function `inputs` (name -> shape), `wrt`, `gradients` (name -> function) and `sample`; and the
            options of `gradcheck run`, such as `k`, `seed`, `dtype` and `backends`, by the names in docs/options.md.

    Raises:
        RequestError: the request is wrong; nothing was run.
    """
    from gradcheck.api import Session

    with Session() as session:
        return session.check(problem, **options)


def load_problem(problem: Any, **parts: Any) -> Problem:
    """A problem by its name, the path of its file, or its loss as a function; see `gradcheck.problems.functions`.

    Raises:
        ProblemError: there is no such problem, or it is not complete.
    """
    from gradcheck.api import named
    from gradcheck.problems import load

    return load(named(problem, **parts))
