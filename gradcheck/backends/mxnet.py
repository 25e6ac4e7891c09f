"""Apache MXNet: mxnet.autograd over the operations of mx.np and mx.npx, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Operations

if TYPE_CHECKING:
    from types import ModuleType

    from gradcheck.backends._engine import Arrays

MODULE = "mxnet"
DISTRIBUTION = "mxnet"
RELEASE = "1.9.1"
# The last release: it reads np.bool, which NumPy 1.24 removed, and imports distutils, which Python 3.12 removed.
REQUIREMENTS = ("numpy==1.23.5",)
PYTHON = ((3, 9), (3, 12))
FORMATS: dict[str, dict[str, object]] = {"float64": {}, "float32": {}}
LACKS = {
    "float16": "MXNet has no float16 matrix product on the CPU",
    "bfloat16": "MXNet has no bfloat16 arrays in mx.np",
}


class MXNet(Engine):
    """MXNet, imported, with NumPy semantics (zero-dimensional arrays) switched on."""

    def __init__(self) -> None:
        import mxnet

        mxnet.npx.set_np()
        self.mxnet: Any = mxnet
        self.version = mxnet.__version__
        self.primitives = {"matmul": mxnet.np.matmul, "sigmoid": mxnet.npx.sigmoid, "sum": mxnet.np.sum}

    def packages(self) -> dict[str, str]:
        return {"mxnet": self.version}

    def evaluate(self, problem: ModuleType, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        leaves = {name: self.mxnet.np.array(array, dtype=dtype) for name, array in inputs.items()}
        for name in wrt:
            leaves[name].attach_grad()
        ops = Operations(self.primitives, self._zeros_like)
        with self.mxnet.autograd.record():
            loss = problem.loss(ops, **leaves)
        loss.backward()
        return Answer(
            loss=loss.asnumpy(),
            gradients={name: leaves[name].grad.asnumpy() for name in wrt},
            values={name: value.asnumpy() for name, value in ops.values.items()},
            adjoints={name: offset.grad.asnumpy() for name, offset in ops.offsets.items()},
        )

    def _zeros_like(self, value: Any) -> Any:
        zeros = self.mxnet.np.zeros(value.shape, dtype=value.dtype)
        zeros.attach_grad()
        return zeros


def load() -> Engine:
    """Import MXNet."""
    return MXNet()
