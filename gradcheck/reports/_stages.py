"""The stages of a loss as a diagram: which one is wrong first, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradcheck.findings import LossStage, Source, WrongStep
from gradcheck.results import Report
from gradcheck.text.wording import in_words

ROW = 46
"""The height of a stage, in pixels."""
LEFT, RIGHT, HALF, TALL = 74, 176, 44, 15
"""The middles of the two columns of boxes, and half of their width and height."""
WIDTH = 250
LONGEST_NAME = 10

Key = tuple[str, str | None]
"""The kind and the name of an array."""
STATES = {"wrong": "first wrong", "also": "wrong by itself", "follows": "follows", "right": "right"}


@dataclass(frozen=True)
class Box:
    """One array of a stage: its name, its state (a key of `STATES`), and its middle."""

    name: str
    state: str
    x: int
    y: int


@dataclass(frozen=True)
class StageRow:
    """One stage, its boxes, and the line that computes what is wrong in it, or its value."""

    stage: LossStage
    boxes: Sequence[Box]
    source: Source | None


@dataclass(frozen=True)
class Diagram:
    """Boxes and the paths between them, in pixels; each row has a stage, from the first to the loss."""

    backend: str
    rows: Sequence[StageRow]
    paths: Sequence[str]
    width: int = WIDTH
    high: int = ROW
    half: int = HALF
    tall: int = TALL

    @property
    def height(self) -> int:
        """Of all rows."""
        return ROW * len(self.rows)

    @property
    def description(self) -> str:
        """The diagram in words, for readers who hear it."""
        boxes = [box for row in self.rows for box in row.boxes if box.state in ("wrong", "also")]
        found = [f"{box.name} {STATES[box.state]}" for box in boxes]
        return f"Stages of the loss in {self.backend}: {', '.join(found) or 'none is wrong'}"


def diagrams(report: Report) -> list[Diagram]:
    """A diagram for each backend with a wrong step, or one for all."""
    if not report.stages:
        return []
    wrong = [backend for backend in report.backends if backend.first_wrong or backend.wrong_steps]
    judged = {name for backend in report.backends for name in backend.errors}
    if not wrong:
        return [diagram(report.stages, judged, "every backend", None, ())]
    return [diagram(report.stages, judged, each.spec, each.first_wrong, each.wrong_steps) for each in wrong]


def diagram(
    stages: Sequence[LossStage],
    judged: Collection[str],
    spec: str,
    first: WrongStep | None,
    others: Sequence[WrongStep],
) -> Diagram:
    """The diagram of the stages of one backend.

    Args:
        stages: of the loss.
        judged: the inputs whose gradients are judged.
        spec: of the backend.
        first: its first wrong step.
        others: all of its steps that are wrong by themselves.
    """
    wrong: dict[Key, WrongStep] = {(step.kind, step.name): step for step in others}
    if first:
        wrong[first.kind, first.name] = first
    rows = []
    for place, stage in enumerate(stages):
        keys = [(value_of(stage), LEFT)]
        if stage.kind == "value" or stage.name in judged:
            keys.append((adjoint_of(stage), RIGHT))
        states = [state(stages, place, key, first, wrong) for key, _ in keys]
        boxes = [Box(label(key), each, x, middle(place)) for (key, x), each in zip(keys, states, strict=True)]
        lines = [wrong[key].source for key, _ in keys if key in wrong]
        rows.append(StageRow(stage, boxes, next(filter(None, lines), stage.source)))
    return Diagram(spec, rows, list(paths(stages, judged)))


def state(
    stages: Sequence[LossStage], place: int, key: Key, first: WrongStep | None, wrong: Mapping[Key, WrongStep]
) -> str:
    """The state of an array of a stage: a key of `STATES`."""
    if first is None:
        return "also" if key in wrong else "right"
    if key in wrong:
        return "wrong" if wrong[key] is first else "also"
    return "follows" if follows_from(stages, place, key, first) else "right"


def paths(stages: Sequence[LossStage], judged: Collection[str]) -> Iterator[str]:
    """The paths of the values, and those of the adjoints beside them."""
    for place, stage in enumerate(stages):
        for before in stage.after:
            yield arc(LEFT - HALF, before, place, -1)
            if stage.kind != "loss" and (stages[before].kind == "value" or stages[before].name in judged):
                yield arc(RIGHT + HALF, place, before, 1)


def label(key: Key) -> str:
    """The name in a box."""
    kind, name = key
    text = str(name) if kind == "input" else in_words(kind, name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def value_of(stage: LossStage) -> Key:
    """The key of the value of a stage."""
    return (stage.kind, stage.name)


def adjoint_of(stage: LossStage) -> Key:
    """The key of its adjoint, or of its gradient."""
    return ("gradient" if stage.kind == "input" else "adjoint", stage.name)


def follows_from(stages: Sequence[LossStage], place: int, key: Key, first: WrongStep) -> bool:
    """Whether an array is computed from the first wrong one: forwards through values, then backwards."""
    origin = (first.kind, first.name)
    at = next((n for n, each in enumerate(stages) if origin in (value_of(each), adjoint_of(each))), None)
    if at is None:
        return False
    is_value = key[0] in ("value", "loss")
    if first.kind in ("value", "loss"):
        return key[0] in ("adjoint", "gradient") or (is_value and at in earlier(stages, place))
    return not is_value and key[0] != "input" and place in earlier(stages, at)


def earlier(stages: Sequence[LossStage], place: int) -> set[int]:
    """The places of the stages from which one is computed."""
    found: set[int] = set()
    waiting = list(stages[place].after)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += stages[each].after
    return found


def middle(place: int) -> int:
    """The middle of a row."""
    return place * ROW + ROW // 2


def arc(x: int, start: int, end: int, side: int) -> str:
    """A curve between two rows on one side of a column; far rows have wide curves."""
    bulge = side * min(8 + 5 * abs(end - start), 28)
    first, last = middle(start), middle(end)
    return f"M{x},{first} C{x + bulge},{first} {x + bulge},{last} {x},{last}"
