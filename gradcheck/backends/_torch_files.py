"""A problem's file that is written in PyTorch: modules among its inputs are those of their parameters."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from gradcheck.backends import _torch_export as export
from gradcheck.backends._engine import Malformed
from gradcheck.backends._torch_callables import used_by
from gradcheck.backends._worker.handwritten import line_of
from gradcheck.backends._worker.whole_files import Leaves, WholeFile, is_shape

if TYPE_CHECKING:
    from types import ModuleType


class TorchFile(WholeFile):
    """The loss of a file in PyTorch at a size, in PyTorch's default dtype.

    Parameters and floating buffers of a module are inputs: "block.norm.weight". Those that require no gradient have the
    values with which `inputs` makes the module in the process that records the loss.

    Args:
        torch: the imported framework.
        file: the loaded module.
        size: of the inputs.
    """

    others = "a tensor, a tree of them, or a module with parameters"

    def __init__(self, torch: Any, file: ModuleType, size: tuple[int, ...]) -> None:
        self._torch = torch
        super().__init__(file, size)
        dtype = torch.get_default_dtype()
        modules = {name: each for name, each in self.given.items() if isinstance(each, torch.nn.Module)}
        self._modules = {name: copy.deepcopy(each).to(dtype) for name, each in modules.items()}
        self._arguments = {**self.given, **self._modules}
        self._refuse_other_parameters()

    def _refuse_other_parameters(self) -> None:
        """Refuse tensors with a gradient that are no inputs: their gradients would not be checked.

        Raises:
            Malformed: the loss uses one.
        """
        torch = self._torch
        for name, each in used_by(self.loss):
            is_module = isinstance(each, torch.nn.Module)
            tensors = each.parameters() if is_module else [each] if isinstance(each, torch.Tensor) else []
            if any(tensor.requires_grad for tensor in tensors):
                expected = f'expected it among the inputs, {{"{name}": {name}}}, and as an argument of the loss'
                raise Malformed(f"{line_of(self.loss)}: uses {name}, which requires a gradient: {expected}")

    def flat(self, tree: Any) -> list[tuple[str, Any]]:
        torch = self._torch
        if isinstance(tree, torch.nn.Module):
            buffers = {name: each for name, each in tree.named_buffers() if is_finite(each)}
            return [(f".{name}", each) for name, each in (*tree.named_parameters(), *buffers.items())]
        leaves, _ = torch.utils._pytree.tree_flatten_with_path(tree, is_leaf=is_shape)
        return [(export.label_of(path), leaf) for path, leaf in leaves]

    def has_value(self, leaf: Any) -> bool:
        is_drawn = isinstance(leaf, self._torch.nn.Parameter) and leaf.requires_grad
        return not is_shape(leaf) and not is_drawn

    def is_fixed(self, leaf: Any) -> bool:
        return not is_shape(leaf) and not leaf.requires_grad

    def _arranged(self, name: str, arrays: Leaves) -> Any:
        """An argument of the loss."""
        pytree = self._torch.utils._pytree
        leaves, tree = pytree.tree_flatten(self.given[name], is_leaf=is_shape)
        labels = [label for label, _ in self.flat(self.given[name])]
        return pytree.tree_unflatten([arrays.get(name + each, leaf) for each, leaf in zip(labels, leaves)], tree)

    def _caller(self, function: Callable[[Mapping[str, Any]], Any]) -> Any:
        """A function of the loss's arguments as a module, which has those that are no modules by keyword."""

        def call(**others: Any) -> Any:
            return function({name: others.get(name, own) for name, own in self._arguments.items()})

        return export.wrapped(self._torch, call, self._modules)

    def _others(self, arrays: Leaves) -> dict[str, Any]:
        return {name: self._arranged(name, arrays) for name in self._arguments if name not in self._modules}

    def result(self, ops: Any, arrays: Leaves, watched: Collection[str]) -> Any:
        caller = self._caller(functools.partial(self.called, ops))
        parameters = {name: arrays[name] for name, _ in caller.named_parameters() if name in arrays}
        buffers = {name: arrays.get(name, each).clone() for name, each in caller.named_buffers()}
        with WatchedModules(ops, caller, watched):
            return self._torch.func.functional_call(caller, {**parameters, **buffers}, (), self._others(arrays))

    def dump(self, arrays: Leaves, rows: Collection[str]) -> dict[str, Any]:
        others = self._others(arrays)
        names = [name for name, _ in export.leaves_of(self._torch, ((), others), ())]
        try:
            return export.dumped(self._torch, self._caller(self.recorded), ((), others), names, rows)
        except export.Unexportable as error:
            if isinstance(error.__cause__, Malformed):
                raise error.__cause__ from None
            raise Malformed(f"{line_of(self.loss)}: torch.export cannot record it: {error}") from error


def is_finite(buffer: Any) -> bool:
    """Whether a buffer is an input: a mask of infinities is none."""
    return bool(buffer.is_floating_point() and buffer.isfinite().all())


class WatchedModules:
    """A context in which what modules return is watched by their paths.

    Args:
        ops: of the evaluation.
        caller: the module around them.
        watched: the names of watched values; a name that is no path, or of a module that is called again, is left out.
    """

    def __init__(self, ops: Any, caller: Any, watched: Collection[str]) -> None:
        self._ops = ops
        self._modules = {path: module for path, module in caller.named_modules() if path in watched}
        self._calls: dict[str, int] = dict.fromkeys(self._modules, 0)
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        for path, module in self._modules.items():
            self._hooks.append(module.register_forward_hook(functools.partial(self._returned, path)))

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _returned(self, path: str, _module: Any, _inputs: Any, result: Any) -> Any:
        self._calls[path] += 1
        if self._calls[path] > 1:
            self._ops.values.pop(path, None)
            self._ops.offsets.pop(path, None)
            return None
        return self._ops.watch(path, result) if hasattr(result, "shape") else None
