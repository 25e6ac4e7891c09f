"""Several cases that were sent to workers, and the answers when they are needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gradcheck.errors import InputsError
from gradcheck.execution.messages import Request
from gradcheck.execution.pending import is_small
from gradcheck.execution.pool import Launch, Pool
from gradcheck.execution.worker import Failure
from gradcheck.problems._checks import size_arguments

if TYPE_CHECKING:
    from gradcheck.answers import BackendAnswer
    from gradcheck.oracle import Tape
    from gradcheck.problems.cases import Case
    from gradcheck.runs.judged import Answers


class Sent:
    """Cases that were sent to workers.

    Args:
        pool: of the workers.
        cases: in their order, each with its tape, or why it has no inputs.
        requests: of those with inputs.
        twice: which of these are evaluated twice.
        launches: of the workers; programs of the user get no message of several cases.
    """

    def __init__(
        self,
        pool: Pool,
        cases: Sequence[tuple[Case, Tape] | InputsError],
        requests: Sequence[Request],
        twice: Sequence[bool],
        launches: Mapping[str, Launch],
    ) -> None:
        self.cases = cases
        self._count = len(requests)
        own = [key for key, launch in launches.items() if launch.repeats]
        fit = len(requests) > 1 and all(is_small(each) and each.graph == requests[0].graph for each in requests)
        self._coming = pool.evaluate_several(requests, twice, own) if fit and own else iter(())
        self._answers: list[Answers] | None = None

    @property
    def drawn(self) -> list[tuple[Case, Tape]]:
        """The cases with inputs."""
        return [each for each in self.cases if not isinstance(each, InputsError)]

    def answers(self) -> list[Answers]:
        """The answers to each case with inputs, by the key of the worker; a worker that has ended has none."""
        if self._answers is None:
            found: list[dict[str, BackendAnswer | Failure]] = [{} for _ in range(self._count)]
            for key, outcomes in self._coming:
                for place, outcome in enumerate(outcomes if isinstance(outcomes, list) else ()):
                    found[place][key] = outcome
            self._answers = list(found)
        return self._answers


def request_of(case: Case, tape: Tape) -> Request:
    """The request to evaluate a case."""
    entries = sum(math.prod(tape.nodes[index].shape) for index in tape.outputs.values())
    problem, size = case.problem, size_arguments(case.k)
    return Request(problem.path, tape.graph, case.dtype, tape.wrt, case.inputs, entries, problem.folders, size)
