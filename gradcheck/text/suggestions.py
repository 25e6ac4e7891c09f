"""Near names: what a user may have meant who wrote a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for the middle of a message, or nothing where no known name is near.

    >>> did_you_mean("torhc", ["torch", "mxnet"])
    "did you mean 'torch'? "
    """
    nearest = near(name, known)
    return f"did you mean {nearest!r}? " if nearest else ""


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a name, whatever its case; None where none is near.

    >>> near("Float_32", ["float64", "float32"])
    'float32'
    """
    import difflib  # costs 5 ms, and is for mistakes alone

    folded = {each.casefold(): each for each in known}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[matches[0]] if matches else None
