"""The return value of a loss: one number, or outputs that a number is made of, L = Σ cotangent · output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gradcheck.graphs.graph import COTANGENT, LOSS, OUTPUT, Graph, Node
from gradcheck.graphs.instead import described
from gradcheck.graphs.sources import RecordingError
from gradcheck.graphs.values import Recording, Value

Outputs = Mapping[str, Value]
"""The outputs by label: "" of a single one, "[0]", "[1]" of a tuple's, "[mean]" of a dictionary's."""


def checked(loss: Callable[..., Any], result: Any, summing: str) -> Value | Outputs:
    """The scalar or the outputs that a loss returned.

    Args:
        loss: the function.
        result: its return value.
        summing: the name of the function that sums an array in the loss.

    Raises:
        RecordingError: it is not made of values of the problem.
    """
    if _is_output(result) and result.shape == ():
        return result  # type: ignore[no-any-return]
    outputs = labelled(result)
    if not outputs or not all(map(_is_output, outputs.values())):
        raise RecordingError(f"{line_of(loss)}: the loss returns {_instead_of_a_loss(result, outputs, summing)}")
    for label in outputs if isinstance(result, Mapping) else ():
        if not label[1:-1].isidentifier():
            found = f"the loss returns an output {label[1:-1]!r}"
            raise RecordingError(f"{line_of(loss)}: {found}: expected names such as 'mean' in the dictionary")
    return outputs


def labelled(result: Any) -> dict[str, Any]:
    """What a loss returned, by label: see `Outputs`."""
    if isinstance(result, Mapping):
        return {f"[{key}]": each for key, each in result.items()}
    if isinstance(result, (tuple, list)):
        return {f"[{place}]": each for place, each in enumerate(result)}
    return {"": result}


def finished(
    loss: Callable[..., Any], recording: Recording, result: Value | Outputs, names: Mapping[int, str] | None = None
) -> Graph:
    """The graph of what a loss returned; outputs are watched, and their cotangents are its last inputs.

    Args:
        loss: the function.
        recording: of it.
        result: see `checked`.
        names: places of nodes -> names under which to watch those steps that the loss needs.

    Raises:
        RecordingError: a name that an output or a cotangent needs is taken.
    """
    if isinstance(result, Value):
        return recording.finish({LOSS: result}, names)
    outputs: dict[str, Value] = {}
    total: Value | None = None
    for label, value in result.items():
        outputs[OUTPUT + label] = output = _watched(loss, recording, label, value, names or {})
        term = _weighted(loss, recording, label, output)
        line = recording.line_of(value)
        total = term if total is None else recording.append(Node("add", (total.index, term.index), **line))
    assert total is not None, "there is an output"
    return recording.finish({LOSS: total, **outputs}, names)


def _watched(
    loss: Callable[..., Any], recording: Recording, label: str, value: Value, names: Mapping[int, str]
) -> Value:
    """An output under the name that it has, or else under its label."""
    if recording.is_watched(value, names):
        return value
    name = label[1:-1] if label[1:-1].isidentifier() else OUTPUT + label
    if name in recording.names or name in names.values():
        expected = "expected an output with a name of its own: assign it to a variable, or watch it"
        raise RecordingError(f"{line_of(loss)}: the loss returns an output {name!r}: that name is taken: {expected}")
    recording.names.add(name)
    return recording.append(Node("watch", (value.index,), {}, value.shape, name=name, **recording.line_of(value)))


def _weighted(loss: Callable[..., Any], recording: Recording, label: str, output: Value) -> Value:
    """The sum of an output's entries, each times its cotangent."""
    if COTANGENT + label in recording.names:
        expected = "expected another name, since the loss returns no single number, and its cotangent has that name"
        raise RecordingError(f"{line_of(loss)}: an input has the name {COTANGENT + label!r}: {expected}")
    line = recording.line_of(output)
    cotangent = recording.append(Node("input", (), {}, output.shape, name=COTANGENT + label))
    products = recording.append(Node("mul", (cotangent.index, output.index), {}, output.shape, **line))
    return recording.append(Node("sum", (products.index,), **line)) if output.shape else products


def _is_output(result: object) -> bool:
    return isinstance(result, Value) and result.kind == "floating"


def _instead_of_a_loss(result: object, outputs: Mapping[str, object], summing: str) -> str:
    """The description of a wrong return value, and what to write."""
    if result is None:
        return "None: expected one number, computed from the inputs: is a return missing?"
    if isinstance(result, Value) and result.kind == "integer":
        return f"{described(result)}: expected one number, computed from inputs that have a gradient"
    if any(isinstance(each, Value) for each in outputs.values()) and not isinstance(result, Value):
        label, wrong = next((label, each) for label, each in outputs.items() if not _is_output(each))
        found = f"{described(result)} whose {label} is {described(wrong)}"
        return f"{found}: expected arrays that are computed from the inputs, or one number: return the loss alone"
    depends = "" if isinstance(result, Value) else ", which does not depend on the inputs"
    words = "words of ops" if summing.startswith("ops") else "NumPy's functions"
    return f"{described(result)}{depends}: expected one number, computed from the inputs with {words}"


def line_of(function: Callable[..., object]) -> str:
    """``file:line`` of a function's first line, or its name where there is none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(function, "__name__", function))
