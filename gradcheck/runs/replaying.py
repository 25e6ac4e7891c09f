"""The command that runs a case again."""

from __future__ import annotations

import os

from gradcheck.problems import Problem
from gradcheck.problems._paths import plain_folders
from gradcheck.settings import OPTIONS, Settings
from gradcheck.text.escaping import as_argument, from_here, quoted

ALWAYS_REPLAYED = ("k", "seed", "dtype")


def replay(settings: Settings, problem: Problem, k: int | None) -> str:
    """The shell command that runs a case again."""
    words = [*_with_folders(problem), "gradcheck", "run", as_argument(from_here(settings.problem))]
    for name, option in OPTIONS.items():
        value = k if name == "k" else getattr(settings, name)
        needed = name in ALWAYS_REPLAYED or name in settings.stated or value != option.default
        if name != "problem" and option.replayed and needed:
            words += option.words(value)
    return quoted(words)


def _with_folders(problem: Problem) -> list[str]:
    """The beginning of a command that finds the modules which this process alone has on its path."""
    used = problem.imports.folders_used - set(plain_folders(problem.path))
    searched = [*filter(None, [os.environ.get("PYTHONPATH")]), *(each for each in problem.folders if each in used)]
    return ["env", f"PYTHONPATH={os.pathsep.join(searched)}"] if used else []
