"""What a run found: frozen records. The JSON report is these records, and its JSON Schema is made from them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

SCHEMA = "gradcheck-report/1"

# JSON has no non-finite numbers: a report writes them as strings.
Number = Annotated[
    float, msgspec.Meta(extra_json_schema={"type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"})
]
Kind = Literal["value", "loss", "adjoint", "gradient"]
Index = tuple[int, ...]
Nested = Any  # nested lists of Number, as deep as the array has dimensions


class Verdict(StrEnum):
    """What is said of one backend."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNDECIDED = "undecided"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"


class RunVerdict(StrEnum):
    """What is said of a whole run."""

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


class Record(msgspec.Struct, frozen=True):
    """The base of all records."""


class Case(Record, frozen=True, kw_only=True):
    """One problem at one size, seed, dtype, distribution and scale."""

    problem: str
    k: int
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    inputs_sha256: str
    replay: str


class Entry(Record, frozen=True, kw_only=True):
    """One entry of an array; `bound_ratio` is its error in units of its bound."""

    index: Index
    got: Number
    true: Number
    error: Number
    bound: Number
    bound_ratio: Number


class Power(Record, frozen=True, kw_only=True):
    """Detection power: the smallest relative error of an entry that would have been caught, over the entries."""

    median: Number
    percentile_99: Number


class ArrayError(Record, frozen=True, kw_only=True):
    """How far one gradient is from the truth, over all of its entries.

    `max_ulp` is in units in the last place of the true value in the backend's dtype, `max_bound_ratio` in units of the
    bound of the same entry, `max_spread_ratio` in standard deviations of a correct backend's error (the step's own
    included). `got`, `true` and `bound` are those of the entry at `worst_index`; `worst` are the worst that are bad.
    """

    max_abs: Number
    max_ulp: Number
    max_bound_ratio: Number
    max_spread_ratio: Number
    worst_index: Index
    got: Number
    true: Number
    bound: Number
    bad_entries: int
    entries: int
    worst: tuple[Entry, ...]
    power: Power


class WrongStep(Record, frozen=True, kw_only=True):
    """An array of an answer that is wrong, and its worst entry.

    Where the backend gave its watched values, `true` is what the true operation makes of its own earlier ones, so that
    a step that only hands an error on is not wrong.
    """

    kind: Kind
    name: str
    index: Index
    got: Number
    true: Number
    bound: Number
    bad_entries: int
    entries: int


class Enclosed(Record, frozen=True, kw_only=True):
    """A true value: proved to lie within `rad` of `mid`."""

    mid: Number
    rad: Number


class Oracle(Record, frozen=True, kw_only=True):
    """The truth; `precision_bits` is of the arithmetic that found it."""

    loss: Enclosed
    precision_bits: int


class Seconds(Record, frozen=True, kw_only=True):
    """Wall-clock times: importing the framework (`imported`, written `import`), and the first answer."""

    imported: float = msgspec.field(name="import")
    first: float


class Backend(Record, frozen=True, kw_only=True):
    """One backend's answer and what is said of it. What an answer would give is null without one.

    `first_wrong` is the first array that is wrong in the order of computation: values, the loss, adjoints backwards,
    gradients; `wrong_steps` are all that are wrong by themselves, whatever came before.
    """

    name: str
    spec: str
    version: str | None
    dtype: str
    verdict: Verdict
    evidence: str | None = None
    reason: str | None = None
    loss: Number | None = None
    loss_error: Number | None = None
    gradients: dict[str, Nested] | None = None
    errors: dict[str, ArrayError] = {}
    first_wrong: WrongStep | None = None
    wrong_steps: tuple[WrongStep, ...] = ()
    seconds: Seconds | None = None


class Pair(Record, frozen=True, kw_only=True):
    """The largest absolute differences between two backends' answers."""

    left: str
    right: str
    loss_abs_diff: Number
    max_abs_diff: dict[str, Number]


class BackendEnvironment(Record, frozen=True, kw_only=True):
    """Where a backend ran."""

    python: str
    python_version: str
    packages: dict[str, str]
    threads: int | None


class Environment(Record, frozen=True, kw_only=True):
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
    case: Case
    oracle: Oracle | None
    backends: tuple[Backend, ...]
    pairs: tuple[Pair, ...]
    environment: Environment
