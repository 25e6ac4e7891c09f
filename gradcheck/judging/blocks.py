"""An array of an answer by blocks of rows, each compared with the oracle's limits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gradcheck import oracle
from gradcheck.judging.checks import Check, CheckedBlock, largest_of
from gradcheck.oracle import DOUBT, Rows, Stage
from gradcheck.oracle.enclosure import Enclosure
from gradcheck.oracle.joined import Joined
from gradcheck.oracle.outer import Bounds

Array = npt.NDArray[np.floating[Any]]

Reference = oracle.Block | Bounds
"""The knowledge about some rows."""

Place = TypeVar("Place", bound=Hashable)


class Known(Protocol):
    """The knowledge about an array from end to end: an `oracle.Output`, or a similar object."""

    def blocks(self) -> Iterator[Reference]:
        """The same by blocks of rows."""
        ...

    def size_of_terms(self) -> float:
        """The largest size of the terms whose sums its entries are."""
        ...


def checked_blocks(
    got: Array,
    output: Known | None,
    step: Stage | None,
    slack: Array | None,
    estimate: Array | None,
    limited: bool,
    terms: Callable[[], float],
) -> Iterator[CheckedBlock]:
    """The blocks of rows of an array, each compared with the limits; see `examine`."""
    widest = _widest(output) if output is not None and estimate is not None else 0.0
    for rows, known, stage in _parts(output, step):
        unsure, whole, mine = 0, None, got[rows] if stage is None else stage.got
        if known is not None and estimate is not None:
            whole, unsure = _estimated(mine, known, estimate[rows], widest, limited)
        elif known is not None:
            whole = _whole(mine, known, None if slack is None else slack[rows], limited)
        agrees = whole is not None and not whole.refused.any()
        walked = None if stage is None else _walked(stage, limited, bound_alone=agrees)
        start = rows.start if isinstance(rows, slice) else 0
        yield CheckedBlock(start, mine, whole, walked, unsure, terms)


def together(
    arrays: Mapping[Place, tuple[Array, oracle.Output, Stage]], limited: bool, measured: Collection[Place]
) -> dict[Place, CheckedBlock]:
    """Check small arrays at once, each from end to end and by its step, as `examine` does one by one.

    Args:
        arrays: an array of an answer, and the knowledge about it, by a key; those that do not fit are left out.
        limited: see `examine`.
        measured: the keys of arrays whose errors will be measured.
    """
    fit = {key: each for key, each in arrays.items() if each[1].is_evaluated and each[2].is_plain}
    if len(fit) < 2:
        return {}
    gots, outputs, stages = zip(*fit.values(), strict=True)
    joined = Joined([got.shape for got in gots])
    blocks = [next(output.blocks()) for output in outputs]
    enclosure = Enclosure(*map(joined.arrays, zip(*(block.enclosure.parts for block in blocks), strict=True)))
    worst, spread = (joined.arrays(each) for each in zip(*(block[2:] for block in blocks), strict=True))
    got = joined.arrays(gots)
    with np.errstate(all="ignore"):
        whole = _whole(got, oracle.Block(..., enclosure, worst, spread), None, limited)
        walked = _walked(Stage.joined(joined, got, stages), limited)
        largest = largest_of(joined, whole, walked)
        found = {}
        for place, (key, (each, output, _)) in enumerate(fit.items()):
            most = largest[place]
            mine = whole.piece(joined, place) if most is None or key in measured else None
            stepped = walked.piece(joined, place) if most is None else None
            found[key] = CheckedBlock(0, each, mine, stepped, terms=output.size_of_terms, largest=most)
    return found


def _parts(output: Known | None, step: Stage | None) -> Iterator[tuple[Rows, Reference | None, Stage | None]]:
    """Both partitions are by rows in the same blocks, since both depend on the shape alone."""
    if output is None:
        assert step is not None, "something is known"
        yield from ((rows, None, stage) for rows, stage in step.blocks())
    elif step is None:
        yield from ((known.rows, known, None) for known in output.blocks())
    else:
        pairs = zip(output.blocks(), step.blocks(), strict=True)
        yield from ((known.rows, known, stage) for known, (_, stage) in pairs)


def _whole(got: Array, known: Reference, slack: Array | None, limited: bool) -> Check:
    """The check from end to end."""
    if isinstance(known, Bounds) and slack is None:
        return _of_bounds(got, known, limited)
    enclosure = known.enclosure
    allowed = enclosure.radius if slack is None else enclosure.radius + slack
    error = enclosure.distance(got)
    np.abs(error, out=error)
    limit = DOUBT * known.spread
    limit += allowed
    bound, spread = known.worst + allowed, known.spread
    return Check(enclosure.high, error, bound, limit, limited, True, spread, enclosure.radius, allowed)


def _of_bounds(got: Array, known: Bounds, limited: bool) -> Check:
    """The same for some rows of a large outer product, in fewer passes."""
    assert known.radius is not None, "it is wanted from end to end"
    error, radius = known.distance(got), known.radius
    np.abs(error, out=error)
    return Check(
        known.middle, error, known.reach, known.limit, limited, True, known.spread, radius, allowed=radius, finite=True
    )


def _walked(step: Stage, limited: bool, bound_alone: bool = False) -> Check:
    """The check by the step; `bound_alone` says that its limit is of no interest where it refuses nothing."""
    if bound_alone and step.is_narrow:
        check = Check(step.expected, step.error, step.bound, step.bound, limited=False, proof=False, finite=True)
        if not check.refused.any():
            return check
    return Check(step.expected, step.error, step.bound, DOUBT * step.spread, limited, proof=False)


def _widest(output: Known) -> float:
    """The largest finite bound of an array."""
    return max(float(block.worst.max(initial=0.0, where=np.isfinite(block.worst))) for block in output.blocks())


def _estimated(got: Array, known: Reference, estimate: Array, widest: float, limited: bool) -> tuple[Check, int]:
    """The check of a numerical witness, which decides nothing where its own estimate exceeds a backend's bound.

    The widest bound of the array counts: a difference cannot distinguish 0 from a value that is tiny beside the others.
    """
    enclosure = known.enclosure
    unsure = ~((estimate >= 0) & (estimate <= np.maximum(known.worst, widest) + enclosure.radius))
    bound = np.where(unsure, np.inf, known.worst + enclosure.radius + estimate)
    check = Check(enclosure.high, np.abs(enclosure.distance(got)), bound, bound, limited, proof=False)
    return check, int(np.count_nonzero(unsure))
