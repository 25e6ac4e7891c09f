"""The findings of a run: frozen records. The JSON report is these records, and its JSON Schema comes from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from gradcheck.findings import (
    ArrayError,
    ArrayKind,
    Cause,
    Condition,
    Entry,
    Index,
    Kind,
    LossStage,
    Number,
    Record,
    Source,
    WrongStep,
)
from gradcheck.shown import ShownCase
from gradcheck.text.escaping import all_escaped
from gradcheck.text.suggestions import expected_one_of
from gradcheck.text.wording import change, in_words, index_in_code, two_digits

if TYPE_CHECKING:
    import numpy.typing as npt

SCHEMA = "gradcheck-report/1"

Nested = Any  # nested lists of Number, as deep as the array has dimensions


class Verdict(StrEnum):
    """The verdict on one backend."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNDECIDED = "undecided"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"


class RunVerdict(StrEnum):
    """The verdict on a whole run."""

    AGREE = "agree"
    DIFFER = "differ"
    UNANSWERED = "unanswered"
    UNDECIDED = "undecided"

    @property
    def exit_code(self) -> int:
        """The command's exit code. 2 is a wrong request and 130 an interruption: neither leaves a report."""
        return {"agree": 0, "differ": 1, "unanswered": 3, "undecided": 4}[self]

    @classmethod
    def of(cls, verdicts: list[Verdict]) -> RunVerdict:
        """The run's verdict: a difference outranks a missing answer, which outranks an undecided one."""
        if not verdicts or Verdict.DIFFERS in verdicts:
            return cls.DIFFER
        if set(verdicts) - {Verdict.AGREES, Verdict.UNDECIDED}:
            return cls.UNANSWERED
        return cls.UNDECIDED if Verdict.UNDECIDED in verdicts else cls.AGREE


SENTENCES = {
    RunVerdict.AGREE: "every backend agrees",
    RunVerdict.DIFFER: "at least one backend differs",
    RunVerdict.UNANSWERED: "a requested backend gave no answer",
    RunVerdict.UNDECIDED: "it cannot be decided whether every backend agrees",
}


class CaseRecord(Record, frozen=True, kw_only=True):
    """One problem at one size, seed, dtype, distribution and scale.

    `notes` describe the effect of rounding on its inputs. A problem of one size has no `k`, and its JSON has no such
    key.
    """

    problem: str
    k: int | msgspec.UnsetType = msgspec.UNSET
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    order: int = 1
    inputs_sha256: str
    replay: str
    notes: tuple[str, ...] = ()


class Enclosed(Record, frozen=True, kw_only=True):
    """A true value: proved to lie within `rad` of `mid`."""

    mid: Number
    rad: Number


class Oracle(Record, frozen=True, kw_only=True):
    """The truth; `precision_bits` is that of the arithmetic that found it."""

    loss: Enclosed
    precision_bits: int


class Variation(Record, frozen=True, kw_only=True):
    """An array that differed in the second answer of its backend, and the largest difference."""

    kind: ArrayKind
    name: str | None
    largest: Number

    def __str__(self) -> str:
        """The variation in one line."""
        return f"{in_words(self.kind, self.name)} varies from call to call {change(self.largest)}"


class Seconds(Record, frozen=True, kw_only=True):
    """Wall-clock times: importing the framework (`imported`, written `import`), the first answer, and the second.

    A backend measures them itself, since only the backend knows when it has finished; for a program without them they
    are null.
    """

    imported: float | None = msgspec.field(name="import")
    first: float | None
    again: float | None


class Backend(Record, frozen=True, kw_only=True):
    """One backend's answer and the verdict on it. Without an answer, its fields are null.

    `errors` are those of gradients, by name; `slopes_error` is that of the slopes which a witness gives instead.
    `first_wrong` is the first array that is wrong in the order of computation: values, the loss, adjoints backwards,
    gradients; `wrong_steps` are all that are wrong by themselves, in any case. Every backend computes twice: `varies`
    lists the differences. `notes` are the backend's own sentences, and one about the dtype of its answer if it is not
    the requested one.
    """

    name: str
    spec: str
    version: str | None
    dtype: str
    verdict: Verdict
    evidence: str | None = None
    reason: str | None = None
    cause: Cause | None = None
    loss: Number | None = None
    loss_error: Number | None = None
    gradients: dict[str, Nested] | None = None
    errors: dict[str, ArrayError] = msgspec.field(default_factory=dict)
    slopes_error: ArrayError | None = None
    first_wrong: WrongStep | None = None
    wrong_steps: tuple[WrongStep, ...] = ()
    varies: tuple[Variation, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: Seconds | None = None

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Its gradients by name, as arrays of float64, which holds the numbers of every dtype.

        Raises:
            ValueError: the report has no gradients: the backend gave none, or they are larger than k = 16.
        """
        import numpy as np

        if self.gradients is None:
            why = "it gave no answer" if self.loss is None else "a report has them up to k = 16"
            raise ValueError(f"{self.spec}: no gradients in the report: {why}")
        return {name: np.array(nested, np.float64) for name, nested in self.gradients.items()}

    @property
    def source(self) -> Source | None:
        """The line of the first wrong step, if it is known."""
        return self.first_wrong.source if self.first_wrong else None

    def measured(self) -> dict[str, ArrayError]:
        """The errors of its gradients and slopes, by what these are called in words."""
        gradients = {in_words("gradient", name): error for name, error in self.errors.items()}
        return gradients | ({in_words("slopes", None): self.slopes_error} if self.slopes_error else {})

    def finding(self) -> list[str]:
        """Its findings in words, line by line: if it agrees, only its notes."""
        aside = [f"{self.spec}: {note}" for note in self.notes]
        aside += [f"{self.spec}: {variation}" for variation in self.varies]
        if self.verdict is Verdict.AGREES:
            return [f"{self.spec}: {self.cause}", *self._first_wrong(), *aside] if self.cause else aside
        evidence = f" ({self.evidence})" if self.evidence else ""
        first = (self.first_wrong.kind, self.first_wrong.name) if self.first_wrong else None
        others = [step for step in self.wrong_steps if (step.kind, step.name) != first]
        return [
            f"{self.spec}: {self.verdict}{evidence}: {self.reason}",
            *([f"        cause: {self.cause}"] if self.cause else []),
            *self._first_wrong(),
            *(line for step in others for line in step.lines("   also wrong")),
            *aside,
        ]

    def worst(self) -> tuple[str, Entry] | None:
        """Its bad entry with the largest error in units of the bound, from end to end, and the array of it in words."""
        bad = [(name, entry) for name, error in self.measured().items() for entry in error.worst]
        return max(
            bad, key=lambda each: math.inf if math.isnan(each[1].bound_ratio) else each[1].bound_ratio, default=None
        )

    def _first_wrong(self) -> list[str]:
        worst = self.worst()
        lines = [f"        worst: {worst[0]}{worst[1]}"] if worst else []
        if self.first_wrong is None:
            return lines
        pattern, narrow = self.first_wrong.pattern, self.first_wrong.narrow
        return [
            *([f"      pattern: it is {pattern}"] if pattern else []),
            *self.first_wrong.lines("  first wrong"),
            *lines,
            *([f"    narrow it: {narrow}"] if narrow else []),
        ]


class Cell(Record, frozen=True, kw_only=True):
    """The outcome of one backend, problem and dtype; `bound_ratio` is its largest error in units of the bound."""

    problem: str
    dtype: str
    backend: str
    verdict: Verdict
    bound_ratio: Number | None
    reason: str | None


class Pair(Record, frozen=True, kw_only=True):
    """The largest absolute differences between two backends' answers."""

    left: str
    right: str
    loss_abs_diff: Number
    max_abs_diff: dict[str, Number]


class FirstDivergence(Record, frozen=True, kw_only=True):
    """Two releases, or two interpreters, of one backend, and where they first diverge in the order of computation.

    `kind` and the later fields are null if all bits are the same; `differing` counts the entries that differ.
    `packages` are those that both used in different releases: any of them may be the reason.
    """

    left: str
    right: str
    kind: Kind | None = None
    name: str | None = None
    index: Index | None = None
    left_value: Number | None = None
    right_value: Number | None = None
    differing: int = 0
    entries: int = 0
    packages: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    source: Source | None = None

    def __str__(self) -> str:
        """The divergence in one line."""
        releases = ", ".join(f"{name} {left} and {right}" for name, (left, right) in self.packages.items())
        both = f"{self.left} and {self.right}{f' ({releases})' if releases else ''}"
        if self.kind is None or self.index is None or self.left_value is None or self.right_value is None:
            return f"{both} give the same bits"
        where = f"{in_words(self.kind, self.name)}{index_in_code(self.index)}"
        share = f", in {self.differing} of {self.entries}" if self.entries > 1 else ""
        difference = abs(self.left_value - self.right_value)
        by = f", by {two_digits(difference)}" if math.isfinite(difference) else ""
        at = f": {self.source}" if self.source else ""
        return f"{both} first diverge at {where} = {self.left_value:.17g} and {self.right_value:.17g}{by}{share}{at}"


class BackendEnvironment(Record, frozen=True, kw_only=True):
    """The environment of a backend: a program has no interpreter."""

    python: str | None
    python_version: str | None
    packages: dict[str, str]
    threads: int | None
    device: str


class RunEnvironment(Record, frozen=True, kw_only=True):
    """The environment of a run: apart from `seconds`, the only part of a report that may change from run to run."""

    gradcheck: str
    python: str
    platform: str
    cpu: str
    backends: dict[str, BackendEnvironment]


MOST_UNTRIED = 3
"""The largest number of branches that no entry took, of which a report in words has a line each."""


class Report(ShownCase, Record, frozen=True, kw_only=True):
    """A whole run. `conditions` select the branches of the loss; see `untried`. `stages` are none if there are many."""

    schema: str = SCHEMA
    verdict: RunVerdict
    exit_code: int
    case: CaseRecord
    oracle: Oracle | None
    backends: tuple[Backend, ...]
    pairs: tuple[Pair, ...]
    first_divergences: tuple[FirstDivergence, ...] = ()
    conditions: tuple[Condition, ...] = ()
    stages: tuple[LossStage, ...] = ()
    environment: RunEnvironment

    def printable(self) -> Report:
        """The same with escaped texts and names: many come from elsewhere, and must not control a terminal."""
        return msgspec.convert(all_escaped(msgspec.to_builtins(self)), Report)

    def __repr__(self) -> str:
        """The verdict and the case in one line."""
        agree = sum(backend.verdict is Verdict.AGREES for backend in self.backends)
        case = self.printable().case
        words = [case.problem, *([] if case.k is msgspec.UNSET else [f"k={case.k}"])]
        words += [*([] if case.seed is None else [f"seed={case.seed}"]), case.dtype]
        return f"<Report {' '.join(words)}: {self.verdict}, {agree} of {len(self.backends)} agree>"

    def __getitem__(self, spec: str) -> Backend:
        """A backend by its spec, "torch==2.4.1", or by its name if no other backend has that.

        >>> import gradcheck
        >>> report = gradcheck.check("sigmoid_skip", k=2, backends=["numpy"])
        >>> report
        <Report sigmoid_skip k=2 seed=0 float64: agree, 1 of 1 agree>
        >>> report["numpy"].arrays()["C"].shape
        (2, 2)

        Raises:
            KeyError: there is no such backend, or several.
        """
        named = [backend for backend in self.backends if backend.spec == spec]
        named = named or [backend for backend in self.backends if backend.name == spec]
        if len(named) != 1:
            specs = [backend.spec for backend in self.backends]
            found = "several backends" if named else "no such backend"
            raise KeyError(f"{spec!r}: {found}: {expected_one_of(str(spec), specs)}")
        return named[0]

    def __iter__(self) -> Iterator[Backend]:
        """The backends, in the requested order."""
        return iter(self.backends)

    def finding(self) -> str:
        """The findings of the run in words, and the command that runs it again."""
        shown = self.printable()
        lines = [line for backend in shown.backends for line in backend.finding()]
        lines += map(str, shown.first_divergences)
        lines += [f"{self.verdict}: {SENTENCES[self.verdict]}", *self.untried()]
        return "\n".join([*lines, f"again: {self.case.replay}"])

    def allowing(self, verdict: str) -> Report:
        """The same with exit code 0 if this is its verdict."""
        return msgspec.structs.replace(self, exit_code=0) if self.verdict == verdict else self

    def untried(self) -> list[str]:
        """The branches of the loss that no entry of an agreeing case took, line by line: of them it says nothing."""
        if self.verdict is not RunVerdict.AGREE:
            return []
        branches = [branch for condition in self.conditions for branch in condition.untried]
        more = len(branches) - MOST_UNTRIED
        lines = [f"  not tried: {branch}" for branch in branches[:MOST_UNTRIED]]
        return lines + ([f"  not tried: {more} more {'branch' if more == 1 else 'branches'}"] if more > 0 else [])

    def assert_agrees(self) -> None:
        """Do nothing if every backend agrees, or if the run allows its verdict.

        Raises:
            AssertionError: a backend does not agree; the message is the finding.
        """
        __tracebackhide__ = True  # pytest and IPython show the caller
        if self.exit_code:
            raise AssertionError(self.finding())
