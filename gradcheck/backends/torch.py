"""PyTorch: torch.autograd over torch's own operations, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Operations

if TYPE_CHECKING:
    from types import ModuleType

    from gradcheck.backends._engine import Arrays

MODULE = "torch"
DISTRIBUTION = "torch"
RELEASE = "2.13.0"
REQUIREMENTS = ("numpy",)
PYTHON = ((3, 10), None)
# On Linux the registry's build brings several GB of CUDA; PyTorch's own index has one for the CPU.
INSTALL_OPTIONS = {"linux": ("--torch-backend", "cpu")}
FORMATS = {
    "float64": {},
    "float32": {},
    "float16": {"accumulator": "float32"},
    "bfloat16": {"accumulator": "float32", "flushes": True},
}
LACKS: dict[str, str] = {}


class Torch(Engine):
    """PyTorch, imported."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.version = torch.__version__
        self.primitives = {"matmul": torch.matmul, "sigmoid": torch.sigmoid, "sum": torch.sum}

    def threads(self) -> int | None:
        return int(self.torch.get_num_threads())

    def packages(self) -> dict[str, str]:
        return {"torch": self.version}

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        torch = self.torch
        leaves = {
            name: torch.tensor(array).to(getattr(torch, dtype)).requires_grad_(name in wrt)
            for name, array in inputs.items()
        }
        ops = Operations(self.primitives, lambda value: torch.zeros_like(value, requires_grad=True))
        loss = problem.loss(ops, **leaves)
        sources = [leaves[name] for name in wrt] + list(ops.offsets.values())
        gradients = torch.autograd.grad(loss, sources, materialize_grads=True)
        arrays = [self._array(gradient) for gradient in gradients]
        return Answer(
            loss=self._array(loss),
            gradients=dict(zip(wrt, arrays)),
            values={name: self._array(value) for name, value in ops.values.items()},
            adjoints=dict(zip(ops.offsets, arrays[len(wrt) :])),
        )

    def _array(self, tensor: Any) -> Any:
        tensor = tensor.detach()
        return (tensor.float() if tensor.dtype == self.torch.bfloat16 else tensor).numpy()


def load() -> Engine:
    """Import PyTorch."""
    return Torch()
