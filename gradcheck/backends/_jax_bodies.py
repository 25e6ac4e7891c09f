"""The equations of a jaxpr: the jaxprs in them, the functions of JAX that stay, and the lines of the user's source."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LIBRARIES = ("jax", "jaxlib", "flax", "haiku", "equinox", "optax", "chex")
"""Packages beside JAX whose lines are not the user's."""
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

KEPT = {
    **dict.fromkeys(("silu", "log_sigmoid", "softplus", "log_softmax", "inv", "slogdet"), 1),
    **dict.fromkeys(("hypot", "logaddexp", "solve", "_var"), 2),
}
"""Functions of JAX with a word of their own, by the number of their operands; with others they become their steps."""

_HINTS = "accuracy algorithm out_dtype out_sharding precision preferred_element_type sharding"
HINTS = frozenset(_HINTS.split())
"""Parameters that say how a result is computed or where it is stored; its dtype stands beside it."""


class Where(NamedTuple):
    """A place in the user's source."""

    file: str | None = None
    line: int | None = None


class Aval(NamedTuple):
    """The shape and the dtype of a value."""

    shape: tuple[int, ...]
    dtype: Any


def body_of(equation: Any) -> Any:
    """The jaxpr that a call evaluates, or None."""
    if equation.primitive.name in ("custom_linear_solve", "pallas_call", "shard_map"):
        return None
    for name in ("call_jaxpr", "fun_jaxpr", "jaxpr"):
        body = equation.params.get(name)
        if hasattr(body, "eqns") or hasattr(body, "jaxpr"):
            return body
    return None


def is_of_jax(jax: Any, body: Any) -> bool:
    """Whether JAX wrote the function of a jaxpr."""
    return _source_of(body)[1].startswith(os.path.dirname(jax.__file__) + os.sep)


def _source_of(body: Any) -> tuple[str, str]:
    """The name and the file of the function of a jaxpr, empty where JAX does not say."""
    information = getattr(getattr(body, "jaxpr", body), "debug_info", None)
    name, _, place = str(getattr(information, "func_src_info", "") or "").partition(" at ")
    return name, place.rpartition(":")[0]


def kept(jax: Any, equation: Any, body: Any, operands: Sequence[Any]) -> dict[str, Any] | None:
    """The name and the options of a function of JAX that stays as it is; None of any other."""
    name = _source_of(body)[0]
    if KEPT.get(name) != len(operands) or not is_of_jax(jax, body):
        return None
    floating = [each.aval for each in equation.invars if jax.numpy.issubdtype(each.aval.dtype, jax.numpy.floating)]
    if len({str(each.dtype) for each in [*floating, equation.outvars[0].aval]}) != 1:
        return None
    axes = _axes_in(body)
    if name == "log_softmax":
        return {"name": name, "axes": axes} if axes and len(axes) == 1 else None
    if name == "_var":
        if isinstance(operands[1], dict):
            return None
        keepdims = len(equation.invars[0].aval.shape) == len(equation.outvars[0].aval.shape)
        return {"name": name, "axes": axes, "correction": float(operands[1]), "keepdims": keepdims}
    return {"name": name}


def _axes_in(body: Any) -> tuple[int, ...] | None:
    """The axes of the first reduction in a jaxpr."""
    equations = getattr(body, "jaxpr", body).eqns
    return next((plain(each.params["axes"]) for each in equations if "axes" in each.params), None)


def place_of(jax: Any, equation: Any, otherwise: Where) -> Where:
    """The file and line of the user's innermost frame, or of a library's where there is none."""
    found = getattr(equation.source_info, "traceback", None)
    if found is None:
        return otherwise
    packages = os.path.dirname(os.path.dirname(jax.__file__))
    framework = os.path.join(packages, "jax", "")
    libraries = tuple(os.path.join(packages, name, "") for name in LIBRARIES)
    inner = []
    for frame in found.frames:
        if frame.file_name.startswith(os.path.join(HERE, "")):
            break
        if not frame.file_name.startswith((framework, "<")):
            inner.append(frame)
    own = [frame for frame in inner if not frame.file_name.startswith(libraries)] or inner
    return Where(own[0].file_name, own[0].line_num) if own else otherwise


def raised_at(jax: Any, error: BaseException) -> str:
    """The user's innermost line of an error, as the beginning of a message."""
    library = os.path.join(os.path.dirname(jax.__file__), "")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((library, HERE, "<"))]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def text_of(where: Where) -> str:
    """A place as the beginning of a message."""
    return f"{where.file}:{where.line}: " if where.file else ""


def as_data(options: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a primitive that say what it computes, as plain data."""
    given = {name: value for name, value in options.items() if value is not None and name not in HINTS}
    return {name: plain(value) for name, value in given.items() if is_plain(value)}


def is_plain(value: Any) -> bool:
    """Whether a parameter can be data."""
    if isinstance(value, Mapping):
        return all(map(is_plain, value.values()))
    if isinstance(value, (tuple, list)):
        return all(map(is_plain, value))
    is_number = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    is_dtype = hasattr(value, "itemsize") and hasattr(value, "name")
    is_choice = hasattr(type(value), "__members__")
    return value is None or isinstance(value, (bool, int, float, str)) or is_number or is_dtype or is_choice


def plain(value: Any) -> Any:
    """A parameter as plain data: a named tuple as a dictionary, a dtype and a choice by its name."""
    if hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (tuple, list)):
        return tuple(plain(each) for each in value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if hasattr(type(value), "__members__"):
        return value.name
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value if isinstance(value, (int, float)) else value.item() if hasattr(value, "item") else value.name
