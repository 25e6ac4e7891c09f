"""A function in PyTorch in the caller's own process: its inputs by name, its results, and its gradients."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._torch_callables import modules_of, parameter_names, plain, rules_of
from gradcheck.backends._torch_export import as_array, label_of, leaves_of, tensors_of, wrapped

if TYPE_CHECKING:
    Arguments = tuple[tuple[Any, ...], dict[str, Any]]


REFUSED = ("returned an invalid gradient", "returned an incorrect number of gradients")
"""What PyTorch says of the gradients of an `autograd.Function` that do not fit its inputs."""


class Asked(NamedTuple):
    """What an answer is asked for.

    Attributes:
        dtype: in the place of that of the arguments, if any.
        outputs: label -> the name under which an output is compared.
        cotangents: label -> array.
        modules: the shapes of the results of modules that are compared too, by path.
        directions: of order 2: name of an input with a gradient -> array.
        strided: whether the cotangents have gaps between their entries in memory.
    """

    dtype: str | None
    outputs: Mapping[str, str]
    cotangents: Mapping[str, Any]
    modules: Mapping[str, Any] = MappingProxyType({})
    directions: Mapping[str, Any] = MappingProxyType({})
    strided: bool = False


class Evaluated(NamedTuple):
    """A call of a function.

    Attributes:
        results: the floating ones by label.
        sources: the tensors that require a gradient by name.
        seeds: the cotangents of the results by label.
        changed: after the call's context, the sources that it changed.
    """

    results: dict[str, Any]
    sources: dict[str, Any]
    seeds: dict[str, Any]
    changed: list[str]


class Call:
    """A call of a function.

    Args:
        torch: the imported framework.
        function: anything that can be called.
        arguments: by position.
        options: by keyword.
        names: of the arguments by position; by default those of the function's parameters.

    Attributes:
        function: what is called.
        modules: the modules whose parameters the function uses, by name; "" is the function itself.
        leaves: the arguments' leaves, by name.
        parameters: of these modules, by name.
        names: of the arguments by position.
    """

    def __init__(
        self,
        torch: Any,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        options: Mapping[str, Any],
        names: Sequence[str] | None = None,
    ) -> None:
        self.torch = torch
        self.function = function
        self.modules = modules_of(torch, function)
        self.names = tuple(parameter_names(function, len(arguments)) if names is None else names)
        self._arguments = (tuple(arguments), dict(options))
        self.leaves = dict(leaves_of(torch, self._arguments, self.names))
        self.module = wrapped(torch, plain(function), {name: plain(each) for name, each in self.modules.items()})
        self.parameters = dict(self.module.named_parameters())
        self._buffers = dict(self.module.named_buffers())

    @property
    def tensors(self) -> dict[str, Any]:
        """The floating tensors that have names: parameters and arguments."""
        leaves = {name: each for name, each in self.leaves.items() if isinstance(each, self.torch.Tensor)}
        return {name: each for name, each in {**self.parameters, **leaves}.items() if each.is_floating_point()}

    @property
    def submodules(self) -> set[str]:
        """The paths of the modules within those of the function; none where it is compiled, which has no steps."""
        is_compiled = plain(self.function) is not self.function
        return set() if is_compiled else {path for path, _ in self.module.named_modules() if path}

    @property
    def wrt(self) -> tuple[str, ...]:
        """The names of those that require a gradient."""
        return tuple(name for name, each in self.tensors.items() if each.requires_grad)

    def prepared(self, dtype: str | None = None) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """The arguments with tensors of their own history, and these leaves by name.

        Args:
            dtype: of the floating ones, in the place of that which the check has.
        """
        kind = self._kind(dtype)
        fresh = {name: self._fresh(each, kind) for name, each in self.leaves.items()}
        return *self._arranged(fresh), fresh

    def _arranged(self, leaves: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments by position, and those by keyword, of their leaves by name."""
        pytree = self.torch.utils._pytree
        arguments, options = pytree.tree_unflatten([*leaves.values()], pytree.tree_structure(self._arguments))
        return arguments, options

    def copied(
        self, values: Mapping[str, Any] = MappingProxyType({}), dtype: str | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments without history, which a function may change; some leaves may have other values, by name."""
        leaves = {}
        for name, leaf in self.leaves.items():
            kept = self._detached(leaf, self._kind(dtype))
            leaves[name] = values.get(name, kept.clone() if isinstance(kept, self.torch.Tensor) else kept)
        return self._arranged(leaves)

    def rules(self) -> list[tuple[str, int, int, str, int]]:
        """The lines of the autograd.Functions that the function calls."""
        with self.state(None), self.torch.enable_grad():
            arguments, options, _ = self.prepared()
            leaves = self.torch.utils._pytree.tree_leaves(self.function(*arguments, **options))
            return rules_of(each for each in leaves if isinstance(each, self.torch.Tensor))

    def sources(self, dtype: str | None) -> dict[str, Any]:
        """The parameters, and the arguments' leaves with no history, by name."""
        return {**self.parameters, **self.prepared(dtype)[2]}

    def at(self, values: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
        """The floating results by label with other tensors in the place of some, and copies of the others.

        Args:
            values: by name of a parameter or of a leaf.
            asked: the dtype and the outputs.

        Raises:
            Malformed: the function returns other outputs.
        """
        arguments, options = self.copied(values, asked.dtype)
        parameters = {name: each for name, each in values.items() if name in self.parameters}
        call = functools.partial(self.torch.func.functional_call, self.module, parameters)
        returned = call(arguments, options) if parameters else plain(self.function)(*arguments, **options)
        return self._labelled(returned, asked)

    def _kind(self, dtype: str | None) -> Any:
        return getattr(self.torch, dtype) if dtype else None

    def _fresh(self, leaf: Any, kind: Any) -> Any:
        tensor = self._detached(leaf, kind)
        requires = isinstance(leaf, self.torch.Tensor) and leaf.is_floating_point()
        return tensor.requires_grad_(leaf.requires_grad) if requires else tensor

    def _detached(self, leaf: Any, kind: Any) -> Any:
        if not isinstance(leaf, self.torch.Tensor):
            return leaf
        tensor = leaf.detach()
        return tensor.to(kind) if kind is not None and tensor.is_floating_point() else tensor

    @contextlib.contextmanager
    def evaluated(self, asked: Asked) -> Iterator[Evaluated]:
        """A call of the function; inputs that it changes get their values back afterwards.

        Raises:
            Malformed: the function returns other outputs.
        """
        with self.state(asked.dtype), self.torch.enable_grad():
            arguments, options, fresh = self.prepared(asked.dtype)
            sources = {**self.parameters, **fresh}
            watched = {name: sources[name] for name in self.tensors}
            before = {name: each.detach().clone() for name, each in watched.items()}
            results = self._labelled(self.function(*arguments, **options), asked)
            seeds = {label: self.like(each, asked.cotangents[label]) for label, each in results.items()}
            if asked.strided:
                seeds = {label: self.torch.stack([each, -each], -1)[..., 0] for label, each in seeds.items()}
            changed: list[str] = []
            yield Evaluated(results, {name: sources[name] for name in self.wrt}, seeds, changed)
            for name in [name for name, each in watched.items() if not self._same(each, before[name])]:
                with self.torch.no_grad():
                    watched[name].copy_(before[name])
                changed += [name] if name in self.wrt else []  # others may be meant: a running mean

    def answer(self, asked: Asked) -> tuple[Answer, list[str]]:
        """The answer, and the inputs with a gradient that the function changed.

        Raises:
            Malformed: the function returns other outputs.
        """
        outputs, modules = asked.outputs, asked.modules
        with Returned(self.torch, self.module, modules) as inner, self.evaluated(asked) as run:
            found = self.gradients(run, run.seeds, [*run.sources.values(), *inner.tensors.values()])
        adjoints = dict(zip(inner.tensors, found[len(self.wrt) :]))
        values = self.arrays(run.results)
        named = {**self.arrays(inner.tensors), **{outputs[label]: values[label] for label in outputs}}
        seeds = {outputs[label]: asked.cotangents[label] for label in outputs if outputs[label] not in modules}
        notes = [
            f"dL/d{name} has the layout {each.layout}: its values are judged"
            for name, each in zip(self.wrt, found)
            if each.layout != self.torch.strided
        ]
        gradients, adjoints = self.arrays(dict(zip(self.wrt, found))), {**self.arrays(adjoints), **seeds}
        return Answer(total(values, asked.cotangents), gradients, named, adjoints, notes=notes), run.changed

    def like(self, tensor: Any, array: Any) -> Any:
        """An array as a tensor of the dtype, and on the device, of another."""
        return self.torch.as_tensor(array, dtype=tensor.dtype, device=tensor.device)

    def arrays(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors as NumPy arrays; bfloat16 as float32."""
        return {name: as_array(self.torch, each) for name, each in tensors.items()}

    def _same(self, left: Any, right: Any) -> bool:
        return bool(((left == right) | ((left != left) & (right != right))).all())

    def _labelled(self, returned: Any, asked: Asked) -> dict[str, Any]:
        """The floating results by label."""
        flat = self.torch.utils._pytree.tree_flatten_with_path(returned)[0]
        tensors = {label_of(path): each for path, each in flat if isinstance(each, self.torch.Tensor)}
        found = {label: each for label, each in tensors.items() if each.is_floating_point()}
        shapes = {label: asked.cotangents[label].shape for label in asked.outputs}
        got = {label: tuple(each.shape) for label, each in found.items()}
        if got != shapes:
            raise Malformed(f"it returns {_described(got)}: expected {_described(shapes)}, as the reference returns")
        return found

    def gradients(self, run: Evaluated, seeds: Mapping[str, Any], sources: Sequence[Any], **how: Any) -> Sequence[Any]:
        """The gradients of Σ seed · result; zeros where no result depends on any source.

        Args:
            run: the call.
            seeds: label -> cotangent.
            sources: tensors with a gradient.
            how: options of `torch.autograd.grad`.

        Raises:
            Malformed: a gradient has another shape or device than its input, or there are too few or too many.
        """
        torch = self.torch
        ends = {label: each for label, each in run.results.items() if each.requires_grad}
        if not ends or not sources:
            return [torch.zeros_like(each) for each in sources]
        asked = [*ends.values()], [*sources], [seeds[label] for label in ends]
        try:
            found: Sequence[Any] = torch.autograd.grad(*asked, allow_unused=True, materialize_grads=True, **how)
        except RuntimeError as error:
            if not any(refused in str(error) for refused in REFUSED):
                raise
            raise Malformed(f"PyTorch refuses a gradient: {error}") from error
        return found

    @contextlib.contextmanager
    def state(self, dtype: str | None) -> Iterator[None]:
        """Keep the buffers as they are, and let parameters and buffers have another dtype in between."""
        kind = self._kind(dtype)
        tensors = [*self.parameters.values(), *self._buffers.values()]
        kept = [each.data for each in tensors]
        try:
            for each, data in zip(tensors, kept):
                is_parameter = any(each is parameter for parameter in self.parameters.values())
                if kind is not None and each.is_floating_point():
                    each.data = data.to(kind)
                elif not is_parameter:
                    each.data = data.clone()
            yield
        finally:
            for each, data in zip(tensors, kept):
                each.data = data


class Returned:
    """What modules return during a call, for those that are called once and return a tensor of a known shape.

    Args:
        torch: the imported framework.
        module: around them.
        shapes: of their results by path.

    """

    def __init__(self, torch: Any, module: Any, shapes: Mapping[str, Any]) -> None:
        self._torch = torch
        self._shapes = shapes
        self._found: dict[str, list[tuple[Any, int]]] = {path: [] for path in shapes}
        self._modules = {path: module.get_submodule(path) for path in shapes}
        self._hooks: list[Any] = []

    def __enter__(self) -> Returned:
        for path, module in self._modules.items():
            self._hooks.append(module.register_forward_hook(functools.partial(self._note, path)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, path: str, _module: Any, _inputs: Any, result: Any) -> None:
        flat = self._torch.utils._pytree.tree_leaves(result)
        tensors = [each for each in flat if isinstance(each, self._torch.Tensor)]
        fitting = [each for each in tensors if tuple(each.shape) == tuple(self._shapes[path])]
        self._found[path] += [(each, each._version) for each in fitting] if len(fitting) == 1 else [(None, 0)] * 2

    @property
    def tensors(self) -> dict[str, Any]:
        """The results by path that have an adjoint, and that nothing has changed in place."""
        once = {path: found[0] for path, found in self._found.items() if len(found) == 1}
        return {path: each for path, (each, version) in once.items() if each._version == version and each.requires_grad}


def cast(torch: Any, call: Arguments, dtype: str | None) -> Arguments:
    """The arguments of a call with each floating tensor in a dtype, if one is given."""
    if dtype is None:
        return call

    def moved(leaf: Any) -> Any:
        if not (isinstance(leaf, torch.Tensor) and leaf.is_floating_point()):
            return leaf
        return leaf.detach().to(getattr(torch, dtype)).requires_grad_(leaf.requires_grad)

    found: Arguments = torch.utils._pytree.tree_map(moved, call)
    return found


def total(values: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """Σ weight · value, rounded once to the dtype of the values."""
    import numpy as np

    number = sum(float(np.sum(np.asarray(weights[name], np.float64) * values[name])) for name in values)
    return np.asarray(number, next(iter(values.values())).dtype)


def _described(shapes: Mapping[str, Any]) -> str:
    each = [f"{f'result {label} of ' if label else ''}shape {shape}" for label, shape in shapes.items()]
    return ", ".join(each) or "no floating tensor"


def names_of_dtypes(tensors: Mapping[str, Any]) -> list[str]:
    """The dtypes of tensors, each once."""
    return list(dict.fromkeys(str(each.dtype).partition(".")[2] for each in tensors.values()))


def same_parameters(torch: Any, mine: Mapping[str, Any], module: Any) -> str | None:
    """The first parameter that another module has under the same name with other values, or None."""
    theirs = tensors_of(module)
    for name, each in mine.items():
        if name in theirs and not (each.shape == theirs[name].shape and torch.equal(each, theirs[name])):
            return name
    return None
