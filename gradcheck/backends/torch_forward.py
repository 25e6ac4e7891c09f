"""PyTorch in forward mode: torch.func.jvp along every unit vector, many at once with torch.func.vmap, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Engine, Operations
from gradcheck.backends.torch import Torch

if TYPE_CHECKING:
    from gradcheck.backends._worker.graph import InterpretedGraph
    from gradcheck.backends.torch import Tensors

VARIANT_OF = "torch"

FORMATS: dict[str, dict[str, object]] = {
    "float64": {},
    "float32": {},
    "bfloat16": {"accumulator": "float32", "flushes": True},
}
# In reverse mode an underflow is not multiplied by what follows it in the loss; in forward mode it is: bounds that
# follow reverse mode do not allow for it, and float16 underflows at 6e-8.
LACKS = {"float16": "an underflow in forward mode may cause a larger error than the oracle's bounds allow"}

ENTRIES = 1 << 20
"""Of the unit vectors that exist at one time: 8 MiB in float64. Each is as long as the input that it belongs to."""


class ForwardTorch(Torch):
    """PyTorch whose gradients are derivatives along unit vectors. It has no adjoints: forward mode computes none.

    Second derivatives are those of torch.func's gradients along unit vectors.
    """

    def __init__(self) -> None:
        super().__init__()
        for words in self.functions.values():
            words["directional_derivative"] = self._directional_derivative

    def _directional_derivative(self, function: Any, sources: Tensors, directions: Tensors) -> tuple[Any, Tensors]:
        found, others = self.torch.func.grad(function, has_aux=True)(sources)
        return sum(self.torch.sum(directions[name] * each) for name, each in found.items()), others

    def differentiate(
        self, graph: InterpretedGraph, leaves: Tensors, wrt: Sequence[str]
    ) -> tuple[Any, Tensors, Tensors, Tensors]:
        attention = self.torch.nn.attention
        with attention.sdpa_kernel(attention.SDPBackend.MATH):  # its fused kernel has no forward mode
            ops = self._operations()
            loss = graph.loss(ops, **leaves)
            return loss, {name: self._slopes(graph, leaves, name) for name in wrt}, ops.values, {}

    def _operations(self) -> Operations:
        return Operations(self.primitives, lambda _, value: self.torch.zeros_like(value))

    def _slopes(self, graph: InterpretedGraph, leaves: Tensors, name: str) -> Any:
        """The derivatives along the unit vectors of one input, in its shape."""
        torch, leaf = self.torch, leaves[name]

        def loss(value: Any) -> Any:
            return graph.loss(self._operations(), **{**leaves, name: value})

        def slope(unit: Any) -> Any:
            return torch.func.jvp(loss, (leaf,), (unit.reshape(leaf.shape),))[1]

        numbers = torch.arange(leaf.numel())
        slopes = [
            torch.func.vmap(slope)((some[:, None] == numbers).to(leaf.dtype))
            for some in numbers.split(max(ENTRIES // leaf.numel(), 1))
        ]
        return torch.cat(slopes).reshape(leaf.shape)


def load() -> Engine:
    """Import PyTorch."""
    return ForwardTorch()
