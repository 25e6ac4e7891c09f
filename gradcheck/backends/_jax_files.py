"""A problem's file that is written in JAX: trees among its inputs are those of their leaves."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gradcheck.backends import _jax_export as export
from gradcheck.backends._engine import Malformed
from gradcheck.backends._jax_calls import label_of
from gradcheck.backends._worker.handwritten import line_of
from gradcheck.backends._worker.whole_files import Leaves, WholeFile, is_shape

if TYPE_CHECKING:
    from types import ModuleType


class JaxFile(WholeFile):
    """The loss of a file in JAX at a size.

    Args:
        jax: the imported framework.
        file: the loaded module.
        size: of the inputs.
    """

    others = "an array, or a tree of them, such as jax.eval_shape gives"

    def __init__(self, jax: Any, file: ModuleType, size: tuple[int, ...]) -> None:
        self._jax = jax
        super().__init__(file, size)

    def flat(self, tree: Any) -> list[tuple[str, Any]]:
        leaves, _ = self._jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_shape)
        return [(label_of(path), leaf) for path, leaf in leaves]

    def has_value(self, leaf: Any) -> bool:
        return not is_shape(leaf) and not isinstance(leaf, self._jax.ShapeDtypeStruct)

    def _arguments(self, arrays: Leaves) -> dict[str, Any]:
        """The arguments of the loss."""
        found = {}
        for name, each in self.given.items():
            tree = self._jax.tree_util.tree_structure(each, is_leaf=is_shape)
            leaves = [arrays.get(name + label, leaf) for label, leaf in self.flat(each)]
            found[name] = self._jax.tree_util.tree_unflatten(tree, leaves)
        return found

    def result(self, ops: Any, arrays: Leaves, watched: Collection[str]) -> Any:
        return self.called(ops, self._arguments(arrays))

    def dump(self, arrays: Leaves, rows: Collection[str]) -> dict[str, Any]:
        names = list(arrays)

        def results(*leaves: Any) -> dict[str, Any]:
            tree = self.recorded(self._arguments(dict(zip(names, leaves))))
            flat, _ = self._jax.tree_util.tree_flatten_with_path(tree)
            return {label_of(path): self._jax.numpy.asarray(each) for path, each in flat}

        try:
            return export.dumped(self._jax, results, arrays)
        except export.Untraceable as error:
            raise Malformed(f"{line_of(self.loss)}: JAX cannot record it: {error}") from error
