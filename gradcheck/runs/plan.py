"""The plan of a run of many cases: every problem, dtype, size, distribution, scale and seed, in this order.

A case has a key that is the same on every machine, so that a store knows it, and a partition of the cases does too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradcheck import problems
from gradcheck.errors import RequestError
from gradcheck.execution import engines
from gradcheck.execution.selection import choose, default_backends
from gradcheck.problems import Problem
from gradcheck.settings import OPTIONS, Settings
from gradcheck.settings.several import ALL

AXES = ("dtype", "k", "distribution", "scale", "seed")
"""The options that may have several values beside the problem: the last one changes from case to case."""
MOST_CASES = 10**15
"""The largest number of cases of one problem."""
FEW = 64
"""The largest number of cases of a problem in all of which backends answer twice."""
SAMPLED = 16
"""Among more cases, every backend answers one of so many twice, on average."""
LONGEST_LISTED = 8
"""The largest number of values that words list."""


@dataclass(frozen=True)
class PlannedCase:
    """One case of a plan.

    Attributes:
        settings: those of another case of the same problem.
        values: its own values of the options in `AXES`.
        key: the same for the same case on every machine, 32 hexadecimal digits.
        is_of_few: whether it is one of few cases.
    """

    group: Settings
    values: Mapping[str, Any]
    is_of_few: bool = True

    @property
    def key(self) -> str:
        """A digest of the problem's name, as the user writes it, and of the values."""
        return key_of(self.group.problem, [*self.values.values()])

    @property
    def is_asked_twice(self) -> bool:
        """Whether backends must answer it twice: among many cases, a sample by the key."""
        return self.is_of_few or int(self.key, 16) % SAMPLED == 0

    @property
    def settings(self) -> Settings:
        """The settings of the case alone."""
        own = {name: value for name, value in self.values.items() if value is not None}
        return replace(self.group, **own, values={})


def key_of(problem: str, values: Sequence[Any]) -> str:
    """The key of a case: a digest of its problem's name and its values of the options in `AXES`, in their order."""
    return hashlib.sha256(json.dumps([problem, *values]).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Group:
    """The cases of one problem: settings with named backends, the values of each option in `AXES`, all its backends.

    A problem of one size has the value None of `k`.
    """

    settings: Settings
    axes: Mapping[str, Sequence[Any]]
    backends: Sequence[str]

    @property
    def is_small(self) -> bool:
        """Whether it has few cases."""
        return len(self) <= FEW

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values()))

    def __iter__(self) -> Iterator[PlannedCase]:
        for number in range(len(self)):  # itertools.product would keep every value in memory
            values = {}
            for name, choices in reversed([*self.axes.items()]):
                number, place = divmod(number, len(choices))
                values[name] = choices[place]
            yield PlannedCase(self.settings, {name: values[name] for name in self.axes}, self.is_small)


@dataclass(frozen=True)
class Plan:
    """The cases of a run.

    Attributes:
        settings: the settings that it was made from.
        groups: its cases, by problem.
    """

    settings: Settings
    groups: Sequence[Group]

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def __iter__(self) -> Iterator[PlannedCase]:
        return itertools.chain.from_iterable(self.groups)

    @property
    def size(self) -> int:
        """The number of its cases; for one of N parts of them, about that of a part."""
        count = sum(map(len, self.groups))
        return count if self.settings.partition is None else count // int(self.settings.partition.partition("/")[2])

    @property
    def values(self) -> dict[str, str]:
        """The values of the problem and of each option in `AXES`, in words."""
        given = {name: self.settings.values.get(name, (getattr(self.settings, name),)) for name in AXES}
        return {"problem": listed([group.settings.problem for group in self.groups])} | {
            name: listed(values) for name, values in given.items()
        }


def listed(values: Sequence[Any]) -> str:
    """Values in words: "1,4,16", "0:100", or the first ones and their number."""
    if isinstance(values, range) and len(values) > 1:
        step = "" if values.step == 1 else f":{values.step}"
        return f"{values.start}:{values.stop}{step}"
    shown = ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in values[:LONGEST_LISTED])
    return shown if len(values) <= LONGEST_LISTED else f"{shown},… ({len(values)} values)"


def is_of_many(settings: Settings) -> bool:
    """Whether settings may mean several cases."""
    return bool(settings.values or settings.store or settings.partition) or ALL in (settings.problem, *settings.backend)


def load(settings: Settings) -> Problem:
    """The problem of a run."""
    return problems.load(settings.problem, settings.timeout)


def plan(settings: Settings, load: Callable[[Settings], Problem] = load) -> Plan:
    """The plan of a run.

    Args:
        settings: of it.
        load: gives the problem that settings name; files in an engine's own code need a `Runner`'s.

    Raises:
        RequestError: a problem or a backend is unknown, or a problem that is named has none of the backends.
    """
    if settings.inputs and settings.values:
        several = ", ".join(OPTIONS[name].flag for name in settings.values if name != "problem")
        raise RequestError(f"--inputs {settings.inputs}: expected one case with it{several and f', not {several}'}")
    names = problem_names(settings)
    loaded = {name: load(replace(settings, problem=name)) for name in names}
    chosen = {name: backends_of(problem, settings, loaded) for name, problem in loaded.items()}
    stated = settings.values.get("problem", (settings.problem,))
    without = [name for name in names if not chosen[name] and name in stated]
    if without or not any(chosen.values()):
        backend = f"backend {', '.join(settings.backend)}"
        raise RequestError(f"{backend}: no gradient of {', '.join(without or names)}: expected one for each problem")
    return Plan(
        settings, [group(loaded[name], settings, chosen[name], len(names) > 1) for name in names if chosen[name]]
    )


def problem_names(settings: Settings) -> list[str]:
    """The names of the problems, each once; `all` means every shipped one."""
    shipped = [name for name, path in problems.names().items() if path.parent == problems.FOLDER]
    given = settings.values.get("problem", (settings.problem,))
    return list(dict.fromkeys(each for name in given for each in (shipped if name == ALL else [name])))


def backends_of(problem: Problem, settings: Settings, loaded: Mapping[str, Problem]) -> tuple[str, ...]:
    """The backends that a problem can have, of those that are named for several: some are gradients of others alone."""
    if not settings.backend:
        return tuple(default_backends(problem, settings.device, settings.order))
    own = (*problem.gradients, *engines.paths()) if ALL in settings.backend else ()
    named = dict.fromkeys([*(each for each in settings.backend if each != ALL), *own])
    if len(loaded) == 1:
        return tuple(named)
    others = {name for each in (*loaded.values(), *shipped_gradients()) for name in each.gradients}
    return tuple(spec for spec in named if spec in problem.gradients or spec not in others)


def shipped_gradients() -> Iterator[Problem]:
    """The problems with names."""
    return (each for _, each in problems.described() if isinstance(each, Problem))


def group(problem: Problem, settings: Settings, backends: tuple[str, ...], is_one_of_several: bool) -> Group:
    """The cases of one problem.

    Raises:
        RequestError: a backend is unknown, or there are too many cases.
    """
    given = settings.given
    if is_one_of_several and not problem.has_size:
        given -= {"k"}  # it is meant for the problems that have a size
    problem.sized(settings.k, given="k" in given)
    choose(backends, problem, settings.device, settings.tf32, settings.order)
    axes: dict[str, Sequence[Any]] = {name: settings.values.get(name, (getattr(settings, name),)) for name in AXES}
    if not problem.has_size:
        axes["k"] = (None,)
    if (count := math.prod(map(len, axes.values()))) > MOST_CASES:
        raise RequestError(f"{problem.name}: {count} cases: expected at most {MOST_CASES}")
    backend = backends if settings.backend else ()
    alone = replace(settings, problem=problem.name, backend=backend, given=given)
    return Group(replace(alone, values={}, store=None, partition=None), axes, backends)
