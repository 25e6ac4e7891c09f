"""Cases: concrete inputs from a seed, the same bits on every machine; `gradcheck.problems.stream` says how."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gradcheck.dtypes import LAYOUTS
from gradcheck.errors import ProblemError, RequestError
from gradcheck.problems import Problem
from gradcheck.problems._checks import size_arguments
from gradcheck.problems._guard import ProblemCode, described_error
from gradcheck.problems.stream import Stream
from gradcheck.text.suggestions import did_you_mean

Array = npt.NDArray[np.floating]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Setting:
    """The arguments of a distribution: the size `k`, if there is one, and the dtype's smallest normal number."""

    k: int | None
    smallest_normal: float


def uniform(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Uniform in (−1, 1)."""
    return stream.symmetric(shape)


def normal(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Nearly normal, mean 0, variance 1."""
    return stream.standard_normal(shape)


def saturated(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Magnitudes in (32, 64), so that products are far beyond the knee of a sigmoid or tanh."""
    drawn = stream.symmetric(shape)
    return 32 * (drawn + np.copysign(1.0, drawn))


def tiny(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Uniform in ±1e-30."""
    return 1e-30 * stream.symmetric(shape)


def mixed(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Magnitudes over nine decades: uniform numbers times powers of two from 2⁻²⁰ to 2¹⁰."""
    drawn = stream.symmetric(shape)
    scaled: Array = np.ldexp(drawn, stream.integers(31, size=shape) - 20)
    return scaled


def zeros(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """All zero."""
    return np.zeros(shape)


def unit_scaled(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Uniform in (−1, 1), matrices divided by √k (a square root and a quotient are rounded in one way by IEEE 754).

    Without a `k`, they are divided by the square root of their number of columns.
    """
    drawn = stream.symmetric(shape)
    if len(shape) > 1:
        drawn /= math.sqrt(shape[-1] if setting.k is None else setting.k)
    return drawn


def subnormal(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Uniform below the smallest normal number of the dtype."""
    return setting.smallest_normal * stream.symmetric(shape)


def cancelling(stream: Stream, shape: Shape, setting: Setting) -> Array:
    """Neighbours that cancel in matrix·vector products, in half of all pairs exactly, else to about one part in 2²⁰."""
    drawn = stream.symmetric(shape)
    if not shape:
        return drawn
    pairs = shape[-1] // 2
    sign = -1.0 if len(shape) > 1 else 1.0
    nearly = 1.0 + 2.0**-20 * stream.integers(2, size=(*shape[:-1], pairs))
    drawn[..., 1 : 2 * pairs : 2] = sign * drawn[..., 0 : 2 * pairs : 2] * nearly
    return drawn


DISTRIBUTIONS: dict[str, Callable[[Stream, Shape, Setting], Array]] = {
    function.__name__.replace("_", "-"): function
    for function in (uniform, normal, saturated, tiny, mixed, zeros, unit_scaled, subnormal, cancelling)
}


@dataclass(frozen=True)
class Case:
    """Concrete inputs: `inputs` maps each name to an array that is already rounded to `dtype` (bfloat16 in float32).

    `k` is None where the problem has one size, and `seed` where the inputs are from a file.
    `notes` are sentences about the effect of rounding on them.
    """

    problem: Problem
    k: int | None
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    inputs: Mapping[str, npt.NDArray[np.floating]]
    notes: tuple[str, ...] = ()

    @property
    def inputs_sha256(self) -> str:
        """A digest of names, shapes and values; bfloat16 and float32 inputs of the same values have the same digest."""
        digest = hashlib.sha256()
        for name, array in self.inputs.items():
            digest.update(f"{name} {array.shape} {array.dtype.name}\n".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def sample(
    problem: Problem, k: int | None, seed: int, dtype: str, distribution: str = "uniform", scale: float = 1.0
) -> Case:
    """Draw a case's inputs, in the order in which the problem names them, multiply by `scale`, and round to `dtype`.

    Arrays of the problem's own `sample(rng, k)` come first, from the same stream. They keep their structure, so that a
    label stays a label: `distribution` and `scale` do not change them, and they are only rounded to `dtype`.

    Raises:
        RequestError: an input overflows the dtype, or underflows: every entry that was not zero became zero.
        ProblemError: the problem's `sample` fails, or its arrays do not fit `inputs`.
    """
    stream, draw = Stream(seed), DISTRIBUTIONS[distribution]
    setting = Setting(k, 2.0 ** LAYOUTS[dtype].lowest_exponent)
    shapes = problem.shapes(k)
    structured = sample_structured(problem, stream, k, shapes)
    inputs, notes = {}, []
    for name, shape in shapes.items():
        own = name in structured
        drawn = structured[name] if own else draw(stream, shape, setting)
        inputs[name] = round_to(drawn if own else scale * drawn, dtype)
        if not np.isfinite(inputs[name]).all():
            if own:
                raise RequestError(f"{problem.path}: sample's {name} overflows {dtype}: expected a wider dtype")
            raise RequestError(f"scale {scale:g}: {distribution} inputs overflow {dtype}: expected a smaller scale")
        if is_nothing_left(drawn, inputs[name]):
            if own:
                raise RequestError(
                    f"{problem.path}: sample's {name} underflows to 0 in {dtype}: expected a wider dtype"
                )
            raise RequestError(
                f"scale {scale:g}: {distribution} inputs underflow to 0 in {dtype}: expected a larger scale"
            )
        notes += underflowed(name, drawn, inputs[name], dtype)
    return Case(problem, k, seed, dtype, distribution, scale, inputs, tuple(notes))


def sample_structured(
    problem: Problem, stream: Stream, k: int | None, shapes: Mapping[str, Shape]
) -> Mapping[str, Array]:
    """The inputs that the problem draws itself, as float64.

    Raises:
        ProblemError: its `sample` raises, or gives an unknown name, another shape, or a value that is not finite.
    """
    if problem.sample is None:
        return {}
    doing = f"sample({', '.join(['rng', *map(str, size_arguments(k))])})"
    try:
        with ProblemCode(problem.path, doing, problem.timeout):
            sampled = problem.sample(stream, *size_arguments(k))
            drawn: dict[str, Array] = {name: np.array(array, np.float64) for name, array in sampled.items()}
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(f"{problem.path}: {doing} raised {described_error(error)}") from error
    for name, array in drawn.items():
        what = f"{problem.path}: {doing}[{name!r}]"
        if name not in shapes:
            raise ProblemError(f"{what} is not an input: expected some of {', '.join(shapes)}")
        if array.shape != shapes[name]:
            raise ProblemError(f"{what} has shape {array.shape}: expected {shapes[name]}")
        if not np.isfinite(array).all():
            raise ProblemError(f"{what} holds a value that is not finite: expected finite numbers")
    return drawn


def size_of(
    problem: Problem, arrays: Mapping[str, npt.NDArray[np.floating]], source: str, likely: int = 1
) -> int | None:
    """The size `k` at which the inputs have the shapes of arrays; if several sizes fit, `likely` if it is one of them.

    If the problem has one size, it is None.

    Raises:
        RequestError: a name is missing or unknown, or there is no such size; the message shows `source`.
    """
    expected, shapes = problem.shapes(problem.sized(likely)), {name: array.shape for name, array in arrays.items()}
    check_names(arrays, expected, source)
    if shapes == expected:
        return problem.sized(likely)
    try:
        return problem.size_of(shapes)
    except ProblemError as error:
        raise RequestError(f"{source}: {error}") from None


def check_names(arrays: Collection[str], inputs: Collection[str], source: str) -> None:
    """Check that arrays from a file are those of a problem's inputs, by name.

    Raises:
        RequestError: one is missing or unknown; the message shows `source`.
    """
    for name in arrays:
        if name not in inputs:
            meant = did_you_mean(name, inputs)
            raise RequestError(f"{source}: unknown input {name!r}: {meant}expected {', '.join(inputs)}")
    if lacking := [name for name in inputs if name not in arrays]:
        raise RequestError(f"{source}: no input {' and no '.join(map(repr, lacking))}: expected {', '.join(inputs)}")


def given(
    problem: Problem, k: int | None, dtype: str, arrays: Mapping[str, npt.NDArray[np.floating]], source: str
) -> Case:
    """A case with inputs from a file.

    Raises:
        RequestError: a name is missing or unknown, a shape does not fit `k`, a value is not finite or overflows the
            dtype, or every entry that is not zero underflows.
    """
    shapes = problem.shapes(k)
    check_names(arrays, shapes, source)
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            at = "" if k is None else f" at k = {k}"
            raise RequestError(f"{source}: {name} has shape {arrays[name].shape}: expected {shape}{at}")
        if not np.isfinite(arrays[name]).all():
            raise RequestError(f"{source}: {name} holds a value that is not finite: expected finite numbers")
    inputs = {name: round_to(np.asarray(arrays[name], np.float64), dtype) for name in shapes}
    for name, array in inputs.items():
        if not np.isfinite(array).all():
            raise RequestError(f"{source}: {name} holds a value that overflows {dtype}: expected smaller numbers")
        if is_nothing_left(arrays[name], array):
            raise RequestError(f"{source}: {name} underflows to 0 in {dtype}: expected larger numbers")
    notes = [note for name, array in inputs.items() for note in underflowed(name, arrays[name], array, dtype)]
    return Case(problem, k, None, dtype, "given", 1.0, inputs, tuple(notes))


def is_nothing_left(before: Array, rounded: Array) -> bool:
    """Whether an input that was not zero became zero: then it is not the requested case."""
    return bool(before.any()) and not rounded.any()


def underflowed(name: str, before: Array, rounded: Array, dtype: str) -> list[str]:
    """The sentence about the entries of an input that became zero, if some did."""
    lost = np.count_nonzero(before) - np.count_nonzero(rounded)
    return [f"{lost} of {rounded.size} entries of {name} underflow to 0 in {dtype}"] if lost else []


def in_dtype(case: Case, dtype: str) -> Case:
    """The case with its inputs rounded to another dtype.

    Raises:
        RequestError: an input overflows it, or becomes zero.
    """
    inputs = {name: round_to(np.asarray(array, np.float64), dtype) for name, array in case.inputs.items()}
    for name, array in inputs.items():
        if not np.isfinite(array).all() or is_nothing_left(case.inputs[name], array):
            raise RequestError(f"{name} overflows or underflows in {dtype}")
    return replace(case, dtype=dtype, inputs=inputs)


def round_to(values: Array, dtype: str) -> npt.NDArray[np.floating]:
    """Round float64 to `dtype`, to nearest, ties to even, in one rounding; subnormal numbers included."""
    layout = LAYOUTS[dtype]
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":
            exponent = np.maximum(np.frexp(values)[1] - 1, layout.lowest_exponent) - (layout.bits - 1)
            values = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
        return np.asarray(values).astype(layout.container)
