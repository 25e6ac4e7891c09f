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


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to a name in any case of letters; None if none is similar.

    >>> near("Float_32", ["float64", "float32"])
    'float32'
    """
    import difflib  # costs 5 ms, and is for mistakes alone

    folded = {each.casefold(): each for each in known}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[matches[0]] if matches else None
