"""Suggestions of known names for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion for the middle of a message, or nothing if no known name is similar.

    >>> did_you_mean("torhc", ["torch", "mxnet"])
    "did you mean 'torch'? "
    """
    nearest = near(name, known)
    return f"did you mean {nearest!r}? " if nearest else ""


MOST_LISTED = 8
"""The largest number of known names that a message lists beside a suggestion."""


def expected_one_of(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: a suggestion, and the known names if they are few or none is similar.

    >>> expected_one_of("torhc", ["torch", "mxnet"])
    "did you mean 'torch'? expected one of torch, mxnet"
    >>> expected_one_of("k11", [f"k{number}" for number in range(11)])
    "did you mean 'k1'?"
    """
    names = list(known)
    meant = did_you_mean(name, names)
    return meant.rstrip() if meant and len(names) > MOST_LISTED else f"{meant}expected one of {', '.join(names)}"


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to a name in any case of letters; None if none is similar.

    >>> near("Float_32", ["float64", "float32"])
    'float32'
    """
    import difflib  # costs 5 ms, and is for mistakes alone

    folded = {each.casefold(): each for each in known}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[matches[0]] if matches else None
