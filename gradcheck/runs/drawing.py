"""The case of a run: drawn from a seed, or read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck.errors import RequestError
from gradcheck.problems import Problem
from gradcheck.settings import Settings

if TYPE_CHECKING:
    from gradcheck.problems.cases import Case


def draw(settings: Settings, problem: Problem, k: int | None) -> Case:
    """The case of the settings' seed."""
    from gradcheck.problems import cases

    drawn = settings.distribution, settings.scale
    return cases.sample(problem, k, settings.seed, settings.dtype, *drawn, order=settings.order)


def read_inputs(settings: Settings, problem: Problem, path: str) -> Case:
    """The case whose inputs are in a file, at the size of their shapes; a requested size must fit them.

    Raises:
        RequestError: the file cannot be read, or its arrays do not fit the problem.
    """
    from gradcheck.problems import cases
    from gradcheck.runs import records

    arrays = records.read_arrays(Path(path))
    k = cases.size_of(problem, arrays, path, settings.k)
    if "k" in settings.given | settings.stated and k not in (None, settings.k):
        raise RequestError(f"--k {settings.k}: {path} holds inputs of size {k}: expected --k {k}, or none")
    return cases.given(problem, k, settings.dtype, arrays, path, settings.order)
