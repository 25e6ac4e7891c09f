"""How messages and tables write numbers, indices and the names of arrays."""

from __future__ import annotations

import math


def index_in_code(index: tuple[int, ...]) -> str:
    """An entry's index in the notation of code."""
    return "".join(f"[{each}]" for each in index)


def in_words(kind: str, name: str | None) -> str:
    """An array of an answer in words."""
    words = {
        "value": str(name),
        "loss": "the loss",
        "slopes": "dL/d(step)",
        "estimate": f"the estimate of dL/d{name}",
        "direction": f"the direction of {name}",
    }
    return words.get(kind, f"dL/d{name}")


def shortened(text: str, longest: int) -> str:
    """A text of at most so many characters, and "…" where some are left out."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def two_digits(value: float | None) -> str:
    """An error, a difference or a ratio: two digits are enough, and seven columns hold them."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.1f}" if 0.1 <= value < 1000 else f"{value:.1e}"


def deviation(got: float, true: float, allowed: str) -> str:
    """The distance of a number from its true value, in words.

    >>> deviation(2.0, 1.0, "bound 2.2e-16")
    '= 2 off by 1.0, bound 2.2e-16'
    >>> deviation(math.nan, 1.0, "bound 2.2e-16")
    'is not a number, true value 1'
    """
    if math.isfinite(got) and math.isfinite(true):
        return f"= {got:.7g} off by {two_digits(abs(got - true))}, {allowed}"
    if math.isfinite(true):
        return f"is {quality(got)}, true value {true:.8g}"
    return f"is {quality(got)}, where the true value is {quality(true)}"


def quality(value: float) -> str:
    """A number, or a description of one that is not finite."""
    if math.isfinite(value):
        return f"{value:.8g}"
    return "not a number" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"


def change(value: float) -> str:
    """The size of a variation, in words."""
    return f"by {two_digits(value)}" if math.isfinite(value) else "to or from a value that is not finite"


def out_of(count: int, total: int, things: str = "entries") -> str:
    """The share of an array's entries, for a sentence about it; nothing if it has a single entry."""
    return f" in {count} of {total} {things}" if total > 1 else ""
