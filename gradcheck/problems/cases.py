"""Cases: concrete inputs from a seed, the same bits on every machine; `gradcheck.backends._worker.stream` says how."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gradcheck.backends._worker.stream import Stream
from gradcheck.dtypes import LAYOUTS, Kind
from gradcheck.errors import InputsError, ProblemError, RequestError
from gradcheck.graphs.graph import COTANGENT, DIRECTION, Graph
from gradcheck.problems import Problem
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import DTYPES, NOUNS, kind_of, kinds_of, sampled, wrt_of
from gradcheck.text.suggestions import did_you_mean

Array = npt.NDArray[np.floating]
Shape = tuple[int, ...]
LARGEST_WHOLE = 2**53
FLOATING: Kind = "floating"


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


def cotangent(stream: Stream, shape: Shape) -> Array:
    """Magnitudes in (½, 1), so that the error of no entry is hidden, with signs at random (docs/math.md, W18)."""
    drawn = stream.symmetric(shape)
    return (drawn + np.copysign(1.0, drawn)) / 2


DISTRIBUTIONS: dict[str, Callable[[Stream, Shape, Setting], Array]] = {
    function.__name__.replace("_", "-"): function
    for function in (uniform, normal, saturated, tiny, mixed, zeros, unit_scaled, subnormal, cancelling)
}


@dataclass(frozen=True)
class Case:
    """Concrete inputs: `inputs` maps each name to an array that is already rounded to `dtype` (bfloat16 in float32).

    If the loss returns arrays, their cotangents are the last inputs (`gradcheck.graphs.Graph.cotangents`), except for
    the directions of order 2 (`gradcheck.graphs.Graph.directions`).
    Those that the problem's `sample` gives as integers or booleans are int64 or bool, in any `dtype`.

    `k` is None where the problem has one size, and `seed` where the inputs are from a file.
    `notes` are sentences about the effect of rounding on them.
    """

    problem: Problem
    k: int | None
    seed: int | None
    dtype: str
    distribution: str
    scale: float
    inputs: Mapping[str, npt.NDArray[Any]]
    notes: tuple[str, ...] = ()
    order: int = 1

    @property
    def inputs_sha256(self) -> str:
        """A digest of names, shapes and values; bfloat16 and float32 inputs of the same values have the same digest.

        Integers and booleans count as numbers of the dtype, where it has them.
        """
        digest = hashlib.sha256()
        for name, given in self.inputs.items():
            with np.errstate(over="ignore"):
                array = given.astype(LAYOUTS[self.dtype].container)
            array = array if np.array_equal(array, given) else given
            digest.update(f"{name} {array.shape} {array.dtype.name}\n".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def sample(
    problem: Problem,
    k: int | None,
    seed: int,
    dtype: str,
    distribution: str = "uniform",
    scale: float = 1.0,
    order: int = 1,
) -> Case:
    """Draw a case's inputs, in the order in which the problem names them, multiply by `scale`, and round to `dtype`.

    Arrays of the problem's own `sample(rng, k)` come first, from the same stream. They keep their structure, so that a
    label stays a label: `distribution` and `scale` do not change them, and they are only rounded to `dtype`,
    integers and booleans not at all. Cotangents of a loss that returns arrays are drawn last, then directions of order
    2; they are not changed, but the direction of a symmetric matrix is symmetric too.

    Raises:
        InputsError: an input overflows the dtype, or underflows: every entry that was not zero became zero.
        RequestError: float64 does not represent an integer.
        ProblemError: the problem's `sample` fails, or its arrays do not fit `inputs`.
    """
    stream, draw = Stream(seed), DISTRIBUTIONS[distribution]
    setting = Setting(k, 2.0 ** LAYOUTS[dtype].lowest_exponent)
    shapes = problem.shapes(k)
    structured = sampled(problem, stream, k)
    inputs: dict[str, npt.NDArray[Any]] = {}
    notes: list[str] = []
    for name, shape in shapes.items():
        own = name in structured
        if own and kind_of(structured[name]) != "floating":
            inputs[name] = structured[name]
            check_whole(structured[name], f"{problem.path}: sample's {name}")
            continue
        drawn = structured[name] if own else draw(stream, shape, setting)
        inputs[name] = round_to(drawn if own else scale * drawn, dtype)
        if own:
            what, remedies = f"{problem.path}: sample's {name} ", ("a wider dtype", "a wider dtype")
            check_range(drawn, inputs[name], dtype, (f"{what}overflows", f"{what}underflows"), remedies)
        else:
            what, remedies = f"scale {scale:g}: {distribution} inputs ", ("a smaller scale", "a larger scale")
            check_range(drawn, inputs[name], dtype, (f"{what}overflow", f"{what}underflow"), remedies)
        notes += underflowed(name, drawn, inputs[name], dtype)
    graph = graph_of(problem, k, inputs, dtype)
    for name, shape in graph.cotangents.items():
        inputs[name] = round_to(cotangent(stream, shape), dtype)
    for name, along in directions(problem, k, order).items():
        inputs[along] = round_to(direction(stream, inputs[name]), dtype)
    notes += [*about_outputs(graph, "the seed"), *about_order(order, "the seed")]
    return Case(problem, k, seed, dtype, distribution, scale, inputs, tuple(notes), order)


def directions(problem: Problem, k: int | None, order: int) -> dict[str, str]:
    """The inputs whose gradients are wanted, and the names of their directions; none in a case of order 1."""
    return {name: f"{DIRECTION}[{name}]" for name in wrt_of(problem, k)} if order == 2 else {}


def direction(stream: Stream, array: npt.NDArray[Any]) -> Array:
    """A direction of an input; that of a symmetric matrix is symmetric too."""
    drawn = cotangent(stream, array.shape)
    return (drawn + drawn.T) / 2 if is_symmetric(array) else drawn


def is_symmetric(array: npt.NDArray[Any]) -> bool:
    """Whether an array is a symmetric matrix, whose gradient only symmetric changes determine."""
    return array.ndim == 2 and array.shape[0] == array.shape[1] and bool(np.array_equal(array, array.T))


def about_order(order: int, source: str) -> list[str]:
    """The sentence about the loss of order 2."""
    what = "dL/dA is the part of the product Hv of the Hessian that belongs to A"
    return [f"the loss is v·∇L along the direction v from {source}, and {what}"] if order == 2 else []


def check_range(
    before: npt.NDArray[Any], rounded: npt.NDArray[Any], dtype: str, what: tuple[str, str], remedies: tuple[str, str]
) -> None:
    """Check that an array fits a dtype; the messages for overflow and underflow start and end with the given words.

    Raises:
        InputsError: an entry overflows, or every entry that was not zero became zero.
    """
    if not np.isfinite(rounded).all():
        raise InputsError(f"{what[0]} {dtype}: expected {remedies[0]}")
    if is_nothing_left(before, rounded):
        raise InputsError(f"{what[1]} to 0 in {dtype}: expected {remedies[1]}")


def size_of(
    problem: Problem, arrays: Mapping[str, npt.NDArray[np.floating]], source: str, likely: int = 1
) -> int | None:
    """The size `k` at which the inputs have the shapes of arrays; if several sizes fit, `likely` if it is one of them.

    If the problem has one size, it is None.

    Raises:
        RequestError: a name is missing or unknown, or there is no such size; the message shows `source`.
    """
    expected = problem.shapes(problem.sized(likely))
    shapes = {name: array.shape for name, array in arrays.items() if name in expected or not is_added(name)}
    check_names(shapes, expected, source)
    if shapes == expected:
        return problem.sized(likely)
    try:
        return problem.size_of(shapes)
    except ProblemError as error:
        raise RequestError(f"{source}: {error}") from None


def is_added(name: str) -> bool:
    """Whether an input of that name, which is none of the problem's own, may be a cotangent or a direction."""
    return name == COTANGENT or name.startswith((f"{COTANGENT}[", f"{DIRECTION}["))


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
    problem: Problem,
    k: int | None,
    dtype: str,
    arrays: Mapping[str, npt.NDArray[np.floating]],
    source: str,
    order: int = 1,
    seed: int | None = None,
) -> Case:
    """A case with inputs from a file, or from the caller; a `seed` draws cotangents and directions that they lack.

    Raises:
        RequestError: a name is missing or unknown, a shape does not fit `k`, a value is not finite or overflows the
            dtype, every entry that is not zero underflows, or an entry is not of the input's kind.
    """
    graph = graph_of(problem, k, arrays, dtype)
    drawn = {} if seed is None else added(problem, k, graph, arrays, Stream(seed), order)
    arrays, of_added = {**arrays, **drawn}, "the seed" if drawn else source
    shapes = problem.shapes(k) | graph.cotangents
    shapes |= {direction: shapes[name] for name, direction in directions(problem, k, order).items()}
    kinds = {**dict.fromkeys(shapes, FLOATING), **kinds_of(problem, k)}
    check_names(arrays, shapes, source)
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            at = "" if k is None else f" at k = {k}"
            raise RequestError(f"{source}: {name} has shape {arrays[name].shape}: expected {shape}{at}")
        if not np.isfinite(arrays[name]).all():
            raise RequestError(f"{source}: {name} holds a value that is not finite: expected finite numbers")
    inputs = {name: in_kind(kinds[name], arrays[name], dtype, f"{source}: {name}") for name in shapes}
    for name, array in inputs.items():
        if kinds[name] == "floating" and not np.isfinite(array).all():
            raise RequestError(f"{source}: {name} holds a value that overflows {dtype}: expected smaller numbers")
        if is_nothing_left(arrays[name], array):
            raise RequestError(f"{source}: {name} underflows to 0 in {dtype}: expected larger numbers")
    notes = [note for name, array in inputs.items() for note in underflowed(name, arrays[name], array, dtype)]
    notes += [*about_outputs(graph, of_added), *about_order(order, of_added)]
    return Case(problem, k, None, dtype, "given", 1.0, inputs, tuple(notes), order)


def added(
    problem: Problem, k: int | None, graph: Graph, arrays: Mapping[str, Array], stream: Stream, order: int
) -> dict[str, Array]:
    """The cotangents and directions that a case has beside some arrays."""
    found = {name: cotangent(stream, shape) for name, shape in graph.cotangents.items() if name not in arrays}
    along = {name: each for name, each in directions(problem, k, order).items() if each not in arrays}
    return {**found, **{each: direction(stream, arrays[name]) for name, each in along.items()}}


def in_kind(kind: Kind, array: npt.NDArray[Any], dtype: str, where: str) -> npt.NDArray[Any]:
    """An array as an input of a kind: rounded to `dtype`, or integers or booleans.

    Raises:
        RequestError: an entry is none of the kind, or an integer that float64 does not have; `where` is shown.
    """
    if kind == "floating":
        return round_to(np.asarray(array, np.float64), dtype)
    allowed = np.isin(array, (0, 1)) if kind == "boolean" else np.rint(array) == array
    if not allowed.all():
        expected = f"expected {NOUNS[kind]}, as the problem's sample gives"
        raise RequestError(f"{where} holds {array[~allowed].flat[0]:g}: {expected}")
    check_whole(array, where)
    return np.asarray(array).astype(DTYPES[kind])


def check_whole(array: npt.NDArray[Any], where: str) -> None:
    """Check that whole numbers are so small that float64 has all up to them: the oracle computes with it.

    Raises:
        RequestError: one is larger; `where` is shown.
    """
    if array.dtype == bool or not (beyond := array[np.abs(array) > LARGEST_WHOLE]).size:
        return
    raise RequestError(f"{where} holds {int(beyond.flat[0])}: expected whole numbers of at most 2**53")


def is_nothing_left(before: Array, rounded: Array) -> bool:
    """Whether an input that was not zero became zero: then it is not the requested case."""
    return bool(before.any()) and not rounded.any()


def underflowed(name: str, before: Array, rounded: Array, dtype: str) -> list[str]:
    """The sentence about the entries of an input that became zero, if some did."""
    lost = np.count_nonzero(before) - np.count_nonzero(rounded)
    return [f"{lost} of {rounded.size} entries of {name} underflow to 0 in {dtype}"] if lost else []


def about_outputs(graph: Graph, source: str) -> list[str]:
    """The sentence about the cotangents of a loss that returns arrays, which are from `source`."""
    names = graph.output_names.values()
    return [f"the loss is Σ {COTANGENT} · output of {', '.join(names)}, {COTANGENT}s from {source}"] if names else []


def in_dtype(case: Case, dtype: str) -> Case:
    """The case with its inputs rounded to another dtype.

    Raises:
        RequestError: an input overflows it, or becomes zero.
    """
    inputs = {name: in_kind(kind_of(array), array, dtype, name) for name, array in case.inputs.items()}
    for name, array in inputs.items():
        if not np.isfinite(array).all() or is_nothing_left(case.inputs[name], array):
            raise RequestError(f"{name} overflows or underflows in {dtype}")
    return replace(case, dtype=dtype, inputs=inputs)


def round_to(values: Any, dtype: str) -> npt.NDArray[np.floating]:
    """Round float64 to `dtype`, to nearest, ties to even, in one rounding; subnormal numbers included."""
    layout = LAYOUTS[dtype]
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":
            exponent = np.maximum(np.frexp(values)[1] - 1, layout.lowest_exponent) - (layout.bits - 1)
            values = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
        return np.asarray(values).astype(layout.container)
