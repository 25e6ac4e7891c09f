"""A run of one case or of many, from settings to a report or a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcheck.outcomes import Summary
from gradcheck.results import Report
from gradcheck.runs import plan as plans
from gradcheck.runs.runner import Runner
from gradcheck.settings import Settings

if TYPE_CHECKING:
    from gradcheck.runs.sweep import ManyListener


def run(settings: Settings, listener: ManyListener) -> Report | Summary:
    """Evaluate one case, or many, in every requested backend, and judge the answers.

    Args:
        settings: the settings of the run.
        listener: receives events during the run.

    Raises:
        RequestError: the request is wrong; nothing was run.
    """
    with Runner(listener) as runner:
        if not plans.is_of_many(settings):
            return runner.run(settings)
        from gradcheck.runs import sweep  # a run of one case starts without stores, jobs and clusters

        plan = plans.plan(settings, runner.problem)
        if len(plan) == 1 and not (settings.store or settings.partition):
            return runner.run(next(iter(plan)).settings)
        with sweep.executor_of(plan, runner, listener) as executor:
            return sweep.sweep(plan, executor, listener)
