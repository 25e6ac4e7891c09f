"""What a run found: frozen records. The JSON report is these records, and its JSON Schema is made from them."""

from __future__ import annotations

import html
import math
from enum import StrEnum
from typing import Any

import msgspec

from gradcheck.findings import ArrayError, ArrayKind, Cause, Index, Kind, Number, Record, Source, WrongStep
from gradcheck.text.escaping import all_escaped
from gradcheck.text.wording import change, in_words, index_in_code, two_digits

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
        """The run's verdict from its backends': a difference outranks a missing answer, and that an open question."""
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
    """One problem at one size, seed, dtype, distribution and scale; `notes` say what rounding made of its inputs.

    A problem of one size has no `k`: it is left out of JSON.
    """

    problem: str
    k: int | msgspec.UnsetType = msgspec.UNSET
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    inputs_sha256: str
    replay: str
    notes: tuple[str, ...] = ()


class Enclosed(Record, frozen=True, kw_only=True):
    """A true value: proved to lie within `rad` of `mid`."""

    mid: Number
    rad: Number


class Oracle(Record, frozen=True, kw_only=True):
    """The truth; `precision_bits` is of the arithmetic that found it."""

    loss: Enclosed
    precision_bits: int


class Variation(Record, frozen=True, kw_only=True):
    """An array that was not the same when its backend was asked again, and the largest difference."""

    kind: ArrayKind
    name: str | None
    largest: Number

    def __str__(self) -> str:
        """What varies, in one line."""
        return f"{in_words(self.kind, self.name)} varies from call to call {change(self.largest)}"


class Seconds(Record, frozen=True, kw_only=True):
    """Wall-clock times: importing the framework (`imported`, written `import`), the first answer, and the second.

    A backend says them itself, since only it knows when it is done: a program that does not has null.
    """

    imported: float | None = msgspec.field(name="import")
    first: float | None
    again: float | None


class Backend(Record, frozen=True, kw_only=True):
    """One backend's answer and the verdict on it. What an answer would give is null without one.

    `errors` are those of gradients, by name; `slopes_error` is that of the slopes which a witness gives instead.
    `first_wrong` is the first array that is wrong in the order of computation: values, the loss, adjoints backwards,
    gradients; `wrong_steps` are all that are wrong by themselves, whatever came before. Every backend is asked twice:
    `varies` says what was not the same then. `notes` are sentences of the backend's own, and one on the dtype of its
    answer where it is not the one asked for.
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

    def measured(self) -> dict[str, ArrayError]:
        """The errors of its gradients and slopes, by what these are called in words."""
        gradients = {in_words("gradient", name): error for name, error in self.errors.items()}
        return gradients | ({in_words("slopes", None): self.slopes_error} if self.slopes_error else {})

    def finding(self) -> list[str]:
        """What is to be said of it in words, line by line: where it agrees, nothing but its notes."""
        aside = [f"{self.spec}: {note}" for note in self.notes]
        aside += [f"{self.spec}: {variation}" for variation in self.varies]
        if self.verdict is Verdict.AGREES:
            return [f"{self.spec}: {self.cause}", *self._first_wrong(), *aside] if self.cause else aside
        evidence = f" ({self.evidence})" if self.evidence else ""
        lines = [f"{self.spec}: {self.verdict}{evidence}: {self.reason}"]
        lines += self._first_wrong()
        if self.cause:
            lines.append(f"        cause: {self.cause}")
        first = (self.first_wrong.kind, self.first_wrong.name) if self.first_wrong else None
        others = [step for step in self.wrong_steps if (step.kind, step.name) != first]
        return lines + [line for step in others for line in step.lines("   also wrong")] + aside

    def _first_wrong(self) -> list[str]:
        if self.first_wrong is None:
            return []
        pattern = self.first_wrong.pattern
        return self.first_wrong.lines("  first wrong") + ([f"      pattern: it is {pattern}"] if pattern else [])


class Cell(Record, frozen=True, kw_only=True):
    """What came out for one backend, problem and dtype; `bound_ratio` is its largest error in units of the bound."""

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
    """Two releases, or two interpreters, of one backend, and where in the order of computation they first diverge.

    `kind` and what follows it are null where all bits are the same; `differing` counts the entries that are not.
    `packages` are those that took part in both in different releases: any of them may be why.
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
        """What is to be said of them, in one line."""
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
    """Where a backend ran: a program has no interpreter."""

    python: str | None
    python_version: str | None
    packages: dict[str, str]
    threads: int | None
    device: str


class RunEnvironment(Record, frozen=True, kw_only=True):
    """Where a run took place. The only part of a report, beside `seconds`, that may change from run to run."""

    gradcheck: str
    python: str
    platform: str
    cpu: str
    backends: dict[str, BackendEnvironment]


class Report(Record, frozen=True, kw_only=True):
    """A whole run."""

    schema: str = SCHEMA
    verdict: RunVerdict
    exit_code: int
    case: CaseRecord
    oracle: Oracle | None
    backends: tuple[Backend, ...]
    pairs: tuple[Pair, ...]
    first_divergences: tuple[FirstDivergence, ...] = ()
    environment: RunEnvironment

    def printable(self) -> Report:
        """The same, its texts and names escaped: many come from elsewhere, and a terminal must not obey them."""
        return msgspec.convert(all_escaped(msgspec.to_builtins(self)), Report)

    def finding(self) -> str:
        """What is to be said of the run in words, and the command that runs it again."""
        shown = self.printable()
        lines = [line for backend in shown.backends for line in backend.finding()]
        lines += map(str, shown.first_divergences)
        for backend in shown.backends:
            for name, error in backend.measured().items():
                lines += [f"  {backend.spec}: {name}{entry}" for entry in error.worst]
        return "\n".join([*lines, f"{self.verdict}: {SENTENCES[self.verdict]}", f"again: {self.case.replay}"])

    def assert_agrees(self) -> None:
        """Do nothing where every backend agrees.

        Raises:
            AssertionError: one does not, with the finding as its message.
        """
        if self.verdict is not RunVerdict.AGREE:
            raise AssertionError(self.finding())

    def _repr_html_(self) -> str:
        """The report as notebooks show it."""
        cells = [
            (
                backend.spec,
                backend.version or "–",
                backend.verdict,
                "–" if backend.loss is None else f"{backend.loss:.9g}",
            )
            for backend in self.printable().backends
        ]
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        heads = "".join(f"<th>{name}</th>" for name in ("backend", "version", "verdict", "loss"))
        return f"<table><tr>{heads}</tr>{rows}</table><pre>{html.escape(self.finding())}</pre>"
