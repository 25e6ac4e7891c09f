"""What an answer lacks, or has in addition to what was requested, before a look at its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from gradcheck.answers import BackendAnswer
from gradcheck.oracle import Key, Tape
from gradcheck.text.suggestions import did_you_mean
from gradcheck.text.wording import in_words


def missing(answer: BackendAnswer, tape: Tape) -> str | None:
    """What an answer lacks, or has in addition, before a look at its numbers, or None."""
    shapes = {key: tape.nodes[index].shape for key, index in tape.outputs.items()}
    arrays, compared = dict(answer.arrays()), 0
    for (kind, name), shape in shapes.items():
        array = arrays.get((kind, name))
        if array is None and (kind in ("value", "adjoint") or (kind == "gradient" and answer.slopes is not None)):
            continue
        what = in_words(kind, name)
        if array is None:
            others = [in_words("gradient", other) for other in answer.adjoints if ("adjoint", other) not in shapes]
            return f"{what} is missing" + (f", and {others[0]} is given, for which there is no input" if others else "")
        if array.shape != shape:
            return f"{what} has shape {array.shape}: expected {shape or 'a scalar'}"
        compared += array.size if kind == "gradient" else 0
    for kind, name in arrays:
        if name is not None and kind in ("gradient", "value", "adjoint") and (kind, name) not in shapes:
            return surplus(kind, name, shapes, tape.graph.kinds.get(name, "floating"))
    compared += answer.slopes.size if answer.slopes is not None else 0
    if unfit := unfit_estimate(answer) or unfit_slopes(answer, shapes):
        return unfit
    return None if compared else "no gradient has an entry to compare"


def surplus(kind: str, name: str, shapes: Mapping[Key, tuple[int, ...]], entries: str) -> str:
    """The message about an unrequested array."""
    what, why = in_words(kind, name), "not in wrt" if entries == "floating" else entries
    inputs, watched = ([str(each) for of, each in shapes if of == wanted] for wanted in ("gradient", "value"))
    if kind == "gradient":
        return f"{what} is given: {name} is {why}: expected gradients of {', '.join(inputs)} alone"
    if kind == "value":
        meant = did_you_mean(name, watched)
        return f"a value {name} is given: it is not watched: {meant}expected some of {', '.join(watched) or 'none'}"
    meant = did_you_mean(name, [*inputs, *watched])
    adjoints = f", and optionally of {', '.join(watched)}" if watched else ""
    return (
        f"{what} is given: {name} is neither an input nor a watched value: {meant}"
        f"expected gradients of {', '.join(inputs)}{adjoints}"
    )


def unfit_estimate(answer: BackendAnswer) -> str | None:
    """The estimate of a numerical witness that belongs to none of its arrays, or None."""
    subjects = dict(answer.gradients) if answer.slopes is None else {**answer.gradients, "slopes": answer.slopes}
    for name, estimate in answer.estimates.items():
        if name not in subjects:
            return f"an estimate of {name} is given: expected estimates of {', '.join(subjects) or 'nothing'}"
        if estimate.shape != subjects[name].shape:
            return f"the estimate of {name} has shape {estimate.shape}: expected {subjects[name].shape}"
    return None


def unfit_slopes(answer: BackendAnswer, shapes: Mapping[Key, tuple[int, ...]]) -> str | None:
    """What slopes lack, or None."""
    if answer.slopes is None:
        return None
    if answer.slopes.ndim != 1 or "slopes" not in answer.estimates:
        return "slopes are given: expected a list of them, and an estimate of each"
    for name, shape in ((name, shape) for (kind, name), shape in shapes.items() if kind == "gradient"):
        given = answer.directions.get(name or "")
        if given is None or given.shape != (*answer.slopes.shape, *shape):
            return f"the directions of {name} do not fit: expected shape {(*answer.slopes.shape, *shape)}"
    return None
