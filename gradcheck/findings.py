"""Records of the errors in an answer: entries, arrays, steps and causes."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec

from gradcheck.text.wording import deviation, in_words, index_in_code, two_digits

# JSON has no non-finite numbers: a report writes them as strings.
Number = Annotated[
    float, msgspec.Meta(extra_json_schema={"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
]
Kind = Literal["value", "loss", "adjoint", "gradient", "slopes"]
"""The kinds of arrays that are judged."""
ArrayKind = Literal["value", "loss", "adjoint", "gradient", "slopes", "estimate", "direction"]
"""The kinds of arrays of an answer. The loss and slopes have no name."""
Index = tuple[int, ...]


class Record(msgspec.Struct, frozen=True):
    """The base of all records."""


class Entry(Record, frozen=True, kw_only=True):
    """One entry of an array; its error is `bound_ratio` bounds, and `deviations` standard deviations of rounding."""

    index: Index
    got: Number
    true: Number
    error: Number
    bound: Number
    bound_ratio: Number
    deviations: Number

    def __str__(self) -> str:
        """The entry in one line, with its bound from end to end: that of one step stands beside it, see `WrongStep`."""
        if math.isfinite(self.error):
            off = f"off by {two_digits(self.error)}, bound of all steps {two_digits(self.bound)}"
            return f"{index_in_code(self.index)} = {self.got:.10g}, true {self.true:.10g}: {off}"
        return f"{index_in_code(self.index)} {deviation(self.got, self.true, '')}"


class DetectionPower(Record, frozen=True, kw_only=True):
    """Detection power: the relative error beyond which an entry is refused, over the entries known not to be 0.

    So gradcheck finds an error that is larger than the 99th percentile in more than one entry in a hundred, whichever
    step makes it. For at most 100 entries that percentile is the largest value. Of more than 4096 entries, 4096 evenly
    spaced ones are measured.
    """

    median: Number
    percentile_99: Number


BOUND_EDGES = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""The upper ends of the classes of errors in units of the bound; the last class has no end."""
SPREAD_EDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""The same in standard deviations of rounding."""


class ErrorMap(Record, frozen=True, kw_only=True):
    """The errors of all entries of an array, reduced to a picture.

    `cells` has the largest error in units of the bound of each of at most 32 × 32 equal blocks of entries, row by row,
    in two digits; an array of more than two axes is seen as a matrix whose columns are its last axis. `of_bound` and
    `of_spread` count the entries in the classes of `BOUND_EDGES` and `SPREAD_EDGES`.
    """

    cells: tuple[tuple[Number, ...], ...]
    of_bound: tuple[int, ...]
    of_spread: tuple[int, ...]


class ArrayError(Record, frozen=True, kw_only=True):
    """The distance of one gradient, or of a witness's slopes, from the truth, over all entries.

    `max_ulp` is in units in the last place of the true value in the backend's dtype, `max_bound_ratio` in units of the
    bound of the same entry, `max_spread_ratio` in standard deviations of a correct backend's error (the step's own
    included). `got`, `true` and `bound` are those of the entry at `worst_index`; `worst` are the worst of the bad
    entries.
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
    power: DetectionPower
    map: ErrorMap

    def numbers(self) -> dict[str, Any]:
        """Its numbers by name, without lists of entries and without the map."""
        names = [name for name in self.__struct_fields__ if name not in ("worst", "power", "map")]
        power = {"power_median": self.power.median, "power_percentile_99": self.power.percentile_99}
        return {name: getattr(self, name) for name in names} | power


class Cause(Record, frozen=True, kw_only=True):
    """Why an answer is wrong: for lost digits, `bits` of the `of_bits` of its dtype are lost."""

    kind: Literal["wrong formula", "lost digits", "unknown"]
    reason: str
    bits: int | None = None
    of_bits: int | None = None

    def __str__(self) -> str:
        """The cause in one line."""
        if self.kind == "lost digits":
            return f"lost digits, {self.bits} of {self.of_bits} bits: {self.reason}"
        return f"{self.kind}: {self.reason}"


LONGEST = 64
"""The largest width of a line of source after its label, in columns."""


class Source(Record, frozen=True, kw_only=True):
    """A line of the user's source: the path of its file, its number from 1, and its text.

    `shown` is its path in messages. `of` is what the line belongs to: the hand-written gradient, or the loss. A line of
    the loss is `instead` of one of the backend's own code if that is a hand-written gradient or an implementation, or
    ran elsewhere, and its own line is unknown.
    """

    file: str
    shown: str
    line: int
    text: str
    of: Literal["gradient", "loss", "reference"]
    instead: bool = False

    @property
    def place(self) -> str:
        """The file and the line, "layer.py:12"."""
        return f"{self.shown}:{self.line}"

    def __str__(self) -> str:
        """The line with its place, "layer.py:12  dz = C.T @ dw", cut to fit into 80 columns."""
        whole = f"{self.place}  {self.text}"
        return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"

    def labelled(self) -> str:
        """The line after a label: "at", or "loss at" if it is that of the loss."""
        label = f"{self.of} at" if self.instead else "at"
        return f"{label:>13}: {self}"


class Condition(Record, frozen=True, kw_only=True):
    """What selects a branch of the loss, and in how many entries it was `true` and `false`.

    `text` is the condition in the user's words, as far as its line shows them: "a > 1.5". A line that runs several
    times counts as one. `shown` is the path of its file in messages.
    """

    text: str
    file: str
    shown: str
    line: int
    true: int
    false: int

    @property
    def sides(self) -> list[str]:
        """Of "true" and "false" those that no entry was."""
        counts = (("true", self.true), ("false", self.false))
        return [side for side, count in counts if not count and self.true + self.false]

    @property
    def untried(self) -> list[str]:
        """The branches that no entry took, in words: "`a > 1.5` (huber.py:16) was true in 0 of 300 entries"."""
        entries = self.true + self.false
        of = f"0 of {entries} {'entry' if entries == 1 else 'entries'}"
        return [f"{self} was {side} in {of}" for side in self.sides]

    def __str__(self) -> str:
        """The condition and its place, "`a > 1.5` (huber.py:16)"."""
        text = self.text if len(self.text) <= LONGEST else f"{self.text[: LONGEST - 1]}…"
        return f"`{text}` ({self.shown}:{self.line})"


class LossStage(Record, frozen=True, kw_only=True):
    """A step of the loss that is compared by itself: an input, a watched value, or the loss, whose name is null.

    `after` has the places of the stages that it is computed from, among those of the report.
    """

    kind: Literal["input", "value", "loss"]
    name: str | None
    shape: tuple[int, ...]
    after: tuple[int, ...] = ()
    source: Source | None = None


class WrongStep(Record, frozen=True, kw_only=True):
    """An array of an answer that is wrong, and its entry with the largest error.

    If `by_step`, `true` is the result of the true operation on the backend's own earlier values, so that a step that
    only passes an error on is not wrong, and `bound` is that of the step; else both are from end to end. If an error is
    below its bound, it is refused because it is `deviations` standard deviations of rounding. `pattern` describes the
    array if one sentence fits all of its entries: "−1 × the truth" for example. `source` is the line that computes it:
    of the hand-written gradient, or else of the loss. `narrow` says what a hand-written gradient could return too, so
    that the report names a shorter piece of it.
    """

    kind: Kind
    name: str | None
    index: Index
    got: Number
    true: Number
    bound: Number
    deviations: Number
    by_step: bool
    bad_entries: int
    entries: int
    pattern: str | None = None
    source: Source | None = None
    narrow: str | None = None

    def lines(self, label: str) -> list[str]:
        """The step after a label, and the line of source that computes it."""
        return [f"{label}: {self}", *([self.source.labelled()] if self.source else [])]

    def __str__(self) -> str:
        """The step in one line of less than 80 columns."""
        what = f"{in_words(self.kind, self.name)}{index_in_code(self.index)}"
        share = f", in {self.bad_entries} of {self.entries}" if self.entries > 1 else ""
        allowed = f"bound {'' if self.by_step else 'of all steps '}{two_digits(self.bound)}"
        if abs(self.got - self.true) <= self.bound:  # so the bound is not the reason of the refusal
            allowed = f"{self.deviations:.1f} standard deviations"
        return f"{what} {deviation(self.got, self.true, allowed)}{share}"
