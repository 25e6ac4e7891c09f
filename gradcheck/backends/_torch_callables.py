"""What a function in PyTorch is called, where it is written, and which modules it uses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PASSES = ("forward", "backward")


def plain(function: Any) -> Any:
    """A function that torch.compile has not compiled: it has the same formulas."""
    return getattr(function, "_orig_mod", None) or getattr(function, "_torchdynamo_orig_callable", None) or function


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the arguments by position, "input 0" where the function has none for them."""
    function = plain(function)
    owner = getattr(function, "__self__", None)
    is_applied = getattr(function, "__name__", "") == "apply" and isinstance(owner, type)
    target = owner.forward if is_applied and owner is not None else getattr(function, "forward", function)
    try:
        parameters = list(inspect.signature(target).parameters.values())[1 if is_applied else 0 :]
    except (TypeError, ValueError):
        parameters = []
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return [named[place] if place < len(named) else f"input {place}" for place in range(count)]


def modules_of(torch: Any, function: Any) -> dict[str, Any]:
    """The modules whose parameters a function uses, by name; "" is the function itself.

    Those of a callable object, or of a method's object, are its attributes.
    """
    if isinstance(function, torch.nn.Module):
        return {"": function}
    used = dict(used_by(function))
    held = {} if isinstance(used.get("self"), torch.nn.Module) else getattr(used.get("self"), "__dict__", {})
    return {name: each for name, each in {**held, **used}.items() if isinstance(each, torch.nn.Module)}


def used_by(function: Any) -> Iterator[tuple[str, Any]]:
    """The objects that a function takes from outside, by name."""
    function = plain(function)
    if isinstance(function, functools.partial):
        yield from used_by(function.func)
        yield from ((f"argument {place}", each) for place, each in enumerate(function.args))
        yield from function.keywords.items()
    elif inspect.ismethod(function):
        yield "self", function.__self__
        yield from used_by(function.__func__)
    elif inspect.isfunction(function):
        found = inspect.getclosurevars(function)
        yield from {**found.globals, **found.nonlocals}.items()
    else:
        yield "self", function


def rules_of(results: Iterable[Any]) -> list[tuple[str, int, int, str, int]]:
    """The lines of the autograd.Functions of tensors, see `gradcheck.runs.function_sources.BackwardPass`."""
    waiting = [each.grad_fn for each in results if each.grad_fn is not None]
    seen, found = set(waiting), dict[tuple[str, int, int, str, int], None]()
    while waiting:
        step = waiting.pop()
        kind = getattr(type(step), "_forward_cls", None)
        codes: list[Any] = [
            getattr(inspect.unwrap(getattr(kind, each, None) or len), "__code__", None) for each in PASSES
        ]
        if None not in codes:
            forward, backward = codes
            lines = [line for _, _, line in forward.co_lines() if line]
            place = forward.co_filename, forward.co_firstlineno, max(lines)
            found[*place, backward.co_filename, backward.co_firstlineno] = None
        following = [each for each, _ in step.next_functions if each is not None and each not in seen]
        seen.update(following)
        waiting += following
    return list(found)


def name_of(function: Any) -> str:
    """The name of a function in a report."""
    function = plain(function)
    if isinstance(function, functools.partial):
        return name_of(function.func)
    owner = getattr(function, "__self__", None)
    if getattr(function, "__name__", "") == "apply" and isinstance(owner, type):
        return owner.__name__
    if inspect.isbuiltin(function):  # the name that holds its class too is PyTorch's own
        return function.__name__
    name = str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[2]
    return name.strip("<>")


def file_of(function: Any) -> str | None:
    """The file that a function is written in."""
    function = plain(function)
    if isinstance(function, functools.partial):
        return file_of(function.func)
    owner = getattr(function, "__self__", None)
    code = getattr(function, "__code__", None)
    try:
        return code.co_filename if code else inspect.getfile(owner if isinstance(owner, type) else type(function))
    except (TypeError, OSError):
        return None
