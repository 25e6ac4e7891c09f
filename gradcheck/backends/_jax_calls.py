"""A function in JAX in the caller's own process: its inputs by name, its results, and its gradients."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._batches import ENTRIES, further, slopes
from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._jax_export import as_array
from gradcheck.backends._worker.outputs import COTANGENT

if TYPE_CHECKING:
    Arguments = tuple[tuple[Any, ...], dict[str, Any]]

NOT_BATCHED = "expected operators that jax.vmap knows, or check_batched=False"


class JaxCall:
    """A call of a function.

    Args:
        jax: the imported framework.
        function: anything that can be called.
        arguments: by position.
        options: by keyword.
        names: of the arguments by position; by default those of the function's parameters.

    Attributes:
        arrays: the arrays among the leaves of the arguments, by name: "x", "params[dense][kernel]".
        floating: those of them that are floating.
        names: of the arguments by position.
    """

    def __init__(
        self,
        jax: Any,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        options: Mapping[str, Any],
        names: Sequence[str] | None = None,
    ) -> None:
        self.jax = jax
        self.function = function
        self.names = tuple(parameter_names(function, len(arguments)) if names is None else names)
        flat, self._structure = jax.tree_util.tree_flatten((tuple(arguments), dict(options)))
        paths = [
            f"{name}{label_of(path)}"
            for name, each in [*zip(self.names, arguments), *sorted(options.items())]
            for path, _ in jax.tree_util.tree_flatten_with_path(each)[0]
        ]
        self._leaves = dict(zip(paths, flat))
        self.arrays = {name: jax.numpy.asarray(each) for name, each in self._leaves.items() if _is_array(jax, each)}
        self.floating = {name: each for name, each in self.arrays.items() if self._is_floating(each)}

    def labelled(self, *arrays: Any) -> dict[str, Any]:
        """The arrays among the results by label, for these arrays in place of `arrays`."""
        leaves = {**self._leaves, **dict(zip(self.arrays, arrays))}
        arguments, options = self.jax.tree_util.tree_unflatten(self._structure, list(leaves.values()))
        returned = self.jax.tree_util.tree_flatten_with_path(self.function(*arguments, **options))[0]
        return {label_of(path): self.jax.numpy.asarray(each) for path, each in returned}

    def answer(
        self, dtype: str, outputs: Mapping[str, str], cotangents: Mapping[str, Any], wrt: Sequence[str]
    ) -> Answer:
        """The answer, with gradients by reverse mode.

        Args:
            dtype: in the place of that of the arrays `wrt`, and of those with the same one.
            outputs: label -> the name under which an output is compared.
            cotangents: label -> array.
            wrt: the names of the wanted gradients.

        Raises:
            Malformed: the function returns other outputs.
        """
        function, sources = self._of_sources(dtype, outputs, cotangents, wrt)
        results, backwards = self.jax.vjp(function, *sources)
        return self._answered(results, outputs, cotangents, wrt, backwards(self._seeds(results, cotangents)))

    def batched_answer(
        self, dtype: str, outputs: Mapping[str, str], cotangents: Mapping[str, Any], wrt: Sequence[str]
    ) -> Answer:
        """The same with gradients that `jax.vmap` computes for a batch of cotangents, as `jax.jacrev` does.

        The batch holds each cotangent c and −c, whose gradients are the same except for the sign, rounding errors too.
        Of the two the answer has, entry by entry, the one that is further from the gradient of c alone.

        Raises:
            Malformed: the function returns other outputs, or its backward pass takes no batch.
        """
        function, sources = self._of_sources(dtype, outputs, cotangents, wrt)
        results, backwards = self.jax.vjp(function, *sources)
        seeds = self._seeds(results, cotangents)
        alone = backwards(seeds)
        both = {label: self.jax.numpy.stack([each, -each]) for label, each in seeds.items()}
        with _batching("its gradients"):
            found = self.jax.vmap(backwards)(both)
        gradients = [further(as_array(several), as_array(one)) for several, one in zip(found, alone)]
        return self._answered(results, outputs, cotangents, wrt, gradients)

    def product(
        self,
        dtype: str,
        outputs: Mapping[str, str],
        cotangents: Mapping[str, Any],
        wrt: Sequence[str],
        directions: Mapping[str, Any],
    ) -> Answer:
        """The answer of order 2: v·∇L, and its gradients by the inputs and by the cotangents, in reverse mode.

        Args:
            dtype: as for `answer`.
            outputs: as for `answer`.
            cotangents: as for `answer`.
            wrt: as for `answer`.
            directions: name of an input with a gradient -> array.

        Raises:
            Malformed: the function returns other outputs.
        """
        jax, numpy = self.jax, self.jax.numpy
        function, sources = self._of_sources(dtype, outputs, cotangents, wrt)
        along = [numpy.asarray(directions[name], each.dtype) for name, each in zip(wrt, sources)]

        def slope(sources: Sequence[Any], seeds: Mapping[str, Any]) -> tuple[Any, Any]:
            results, backwards = jax.vjp(function, *sources)
            slopes = backwards(seeds)
            return sum(numpy.sum(v * each) for v, each in zip(along, slopes)), (results, slopes)

        seeds = self._seeds(jax.eval_shape(function, *sources), cotangents)
        number, backwards, (results, slopes) = jax.vjp(slope, sources, seeds, has_aux=True)
        found, by_seeds = backwards(numpy.ones_like(number))
        named = {**dict(zip(wrt, found)), **{COTANGENT + label: each for label, each in by_seeds.items()}}
        loss = total({name: as_array(each) for name, each in zip(wrt, slopes)}, directions)
        values = {outputs[label]: as_array(each) for label, each in results.items()}
        return Answer(loss, {name: as_array(each) for name, each in named.items()}, values)

    def forward_answer(
        self,
        dtype: str,
        outputs: Mapping[str, str],
        cotangents: Mapping[str, Any],
        wrt: Sequence[str],
        batch: bool = False,
    ) -> Answer:
        """The same with gradients by forward mode, along each unit vector; `batch` says that `jax.vmap` takes many."""
        import numpy

        function, sources = self._of_sources(dtype, outputs, cotangents, wrt)
        zeros = [self.jax.numpy.zeros_like(each) for each in sources]
        along = self.jax.jit(lambda *tangents: self.jax.jvp(function, tuple(sources), tangents))
        try:
            results, _ = along(*zeros)
        except TypeError as error:
            if "custom_vjp" not in str(error):
                raise
            expected = "expected jax.custom_jvp, or forward=False"
            raise Malformed(f"a function with jax.custom_vjp has no forward mode: {expected}") from error
        seeds = {label: as_array(each) for label, each in self._seeds(results, cotangents).items()}
        found = []
        for place, source in enumerate(sources):

            def tangents(unit: Any, place: int = place) -> Any:
                return along(*zeros[:place], unit, *zeros[place + 1 :])[1]

            pieces = [numpy.zeros(0)]
            for units in self._units(source, max(ENTRIES // max(source.size, 1), 1) if batch else 1):
                if batch:
                    with _batching("its forward mode"):
                        moved = self.jax.vmap(tangents)(units)
                else:
                    moved = {label: each[None] for label, each in tangents(units[0]).items()}
                pieces.append(slopes(seeds, {label: as_array(each) for label, each in moved.items()}))
            found.append(numpy.concatenate(pieces).astype(as_array(source).dtype).reshape(source.shape))
        return self._answered(results, outputs, cotangents, wrt, found)

    def _units(self, source: Any, at_once: int) -> Iterator[Any]:
        """The unit vectors in the shape of an array, some at once."""
        numpy = self.jax.numpy
        for first in range(0, source.size, at_once):
            places = numpy.arange(first, min(first + at_once, source.size))
            yield self.jax.nn.one_hot(places, source.size, dtype=source.dtype).reshape(-1, *source.shape)

    def _of_sources(
        self, dtype: str, outputs: Mapping[str, str], cotangents: Mapping[str, Any], wrt: Sequence[str]
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The floating results as a function of the arrays `wrt`, and these arrays."""
        own = self.arrays[wrt[0]].dtype
        given = {name: each.astype(dtype) if each.dtype == own else each for name, each in self.arrays.items()}
        shapes = {label: cotangents[label].shape for label in outputs}

        def function(*sources: Any) -> dict[str, Any]:
            results = self.labelled(*{**given, **dict(zip(wrt, sources))}.values())
            found = {label: each for label, each in results.items() if self._is_floating(each)}
            got = {label: tuple(each.shape) for label, each in found.items()}
            if got != shapes:
                raise Malformed(f"it returns {described(got)}: expected {described(shapes)}, as the reference returns")
            return found

        return function, [given[name] for name in wrt]

    def _seeds(self, results: Mapping[str, Any], cotangents: Mapping[str, Any]) -> dict[str, Any]:
        numpy = self.jax.numpy
        return {label: numpy.asarray(cotangents[label], each.dtype) for label, each in results.items()}

    def _answered(
        self,
        results: Mapping[str, Any],
        outputs: Mapping[str, str],
        cotangents: Mapping[str, Any],
        wrt: Sequence[str],
        gradients: Sequence[Any],
    ) -> Answer:
        values = {label: as_array(each) for label, each in results.items()}
        loss = total(values, cotangents)
        named = {outputs[label]: values[label] for label in outputs}
        return Answer(loss, {name: as_array(each) for name, each in zip(wrt, gradients)}, named)

    def _is_floating(self, array: Any) -> bool:
        return bool(self.jax.numpy.issubdtype(array.dtype, self.jax.numpy.floating))


@contextlib.contextmanager
def _batching(subject: str) -> Iterator[None]:
    """Refuse what `jax.vmap` cannot batch."""
    try:
        yield
    except (TypeError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise Malformed(f"{subject} cannot be batched: {reason}: {NOT_BATCHED}") from error


def with_float64(jax: Any) -> Any:
    """A context in which JAX has float64, whatever the process has."""
    place = jax if hasattr(jax, "enable_x64") else jax.experimental
    return place.enable_x64(True)


def cast(jax: Any, call: Arguments, dtype: str | None) -> Arguments:
    """The arguments of a call with each floating array in a dtype, if one is given."""
    if dtype is None:
        return call

    def moved(leaf: Any) -> Any:
        if not (_is_array(jax, leaf) and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)):
            return leaf
        return jax.numpy.asarray(leaf, dtype)

    found: Arguments = jax.tree_util.tree_map(moved, call)
    return found


def _is_array(jax: Any, leaf: Any) -> bool:
    """Whether a leaf is an array of JAX or NumPy, and no number of Python's."""
    return isinstance(leaf, jax.Array) or (type(leaf).__module__ == "numpy" and hasattr(leaf, "dtype"))


def total(values: Mapping[str, Any], cotangents: Mapping[str, Any]) -> Any:
    """Σ cotangent · output, rounded once to the dtype of the outputs."""
    import numpy

    number = sum(float(numpy.sum(numpy.asarray(cotangents[label], numpy.float64) * values[label])) for label in values)
    return numpy.asarray(number, next(iter(values.values())).dtype)


def described(shapes: Mapping[str, Any]) -> str:
    """Results by label and shape, in words."""
    each = [f"{f'result {label} of ' if label else ''}shape {shape}" for label, shape in shapes.items()]
    return ", ".join(each) or "no floating array"


def label_of(path: Sequence[Any]) -> str:
    """The path of a leaf, "[0][mean]"."""
    keys = [next(getattr(key, kind) for kind in ("key", "idx", "name") if hasattr(key, kind)) for key in path]
    return "".join(f"[{key}]" for key in keys)


def plain(function: Any) -> Any:
    """The user's own function in one that JAX compiles or has a rule for."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return plain(function.func) if isinstance(function, functools.partial) else function


def rules_of(function: Any) -> list[tuple[str, int, int, str, int]]:
    """The lines of a jax.custom_vjp, see `gradcheck.runs.function_sources.BackwardPass`; none of other functions."""
    while hasattr(function, "__wrapped__") and not hasattr(function, "bwd"):
        function = function.__wrapped__
    both = plain(function), getattr(function, "bwd", None)
    forward, backward = (getattr(each, "__code__", None) for each in both)
    if forward is None or backward is None:
        return []
    lines = [line for _, _, line in forward.co_lines() if line]
    return [(forward.co_filename, min(lines), max(lines), backward.co_filename, backward.co_firstlineno)]


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the arguments by position, "input 0" where the function has none for them."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return [named[place] if place < len(named) else f"input {place}" for place in range(count)]


def name_of(function: Any) -> str:
    """The name of a function in a report."""
    function = plain(function)
    name = str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[2]
    return name.strip("<>")


def file_of(function: Any) -> str | None:
    """The file that a function is written in."""
    code = getattr(plain(function), "__code__", None)
    return code.co_filename if code else None
