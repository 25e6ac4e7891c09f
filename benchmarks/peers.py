"""The checkers that torch and JAX ship, in an interpreter that has one: a process that answers requests by JSON lines.

`Peers` is the benchmark's own side; as a program, this file is the other. That interpreter has torch and NumPy alone:
what is imported of gradcheck and its tests over there needs no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.planted import Steps

ROOT = Path(__file__).parent.parent
FAST, SLOW, ALLCLOSE, ASSERT_CLOSE = NAMES = (
    "torch gradcheck, fast", "torch gradcheck, slow", "numpy.allclose", "torch assert_close"
)  # fmt: skip
# Slow gradcheck takes 6K² evaluations of the loss, and so does the fast one for the message of a refusal: above this
# size neither of them runs.
LARGEST_COMPARED = 16


class Peers:
    """A context in which the peers answer; `python` is an interpreter that has the framework."""

    def __init__(self, python: Path) -> None:
        command = [str(python), "-m", "benchmarks.peers"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, bufsize=1
        )
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def call(self, request: str, inputs: Mapping[str, Any], **parameters: Any) -> Any:
        """Call one of `REQUESTS` over there, which reads the inputs from a file."""
        import numpy as np

        path = Path(self._folder.name) / "inputs.npz"
        np.savez(path, **inputs)
        parameters["inputs"] = str(path)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([request, parameters]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process ended at {request}({parameters})")
        return json.loads(line)


def gradcheck_of_torch(inputs: Mapping[str, Any], fast: bool) -> dict[str, float | bool]:
    """The seconds that `torch.autograd.gradcheck` takes on the problem's loss in torch, and whether it passes."""
    import torch

    tensors = [torch.tensor(array, requires_grad=name != "x") for name, array in inputs.items()]
    begin = time.perf_counter()
    passes = torch.autograd.gradcheck(torch_loss, tensors, fast_mode=fast, raise_exception=False)
    return {"seconds": time.perf_counter() - begin, "passes": passes}


def torch_loss(A: Any, B: Any, C: Any, x: Any) -> Any:
    """The problem's loss in torch."""
    import torch

    w = C @ (torch.sigmoid(A @ x) + B @ x)
    return torch.sum(w * w)


def planted_steps() -> dict[str, Steps]:
    """The bugs and the legitimate variants, by name."""
    from tests.planted import BUGS
    from tests.variants import VARIANTS

    return {str(bug): bug.steps for bug in BUGS} | VARIANTS


def refused(inputs: Mapping[str, Any], planted: str) -> dict[str, bool | None]:
    """The peers that refuse a hand-written backend's answer to a case; None: not run.

    gradcheck receives the backend as a function: its loss, right or wrong, and its gradients as the backward pass. The
    others compare loss and gradients with torch's own, computed in float64.
    """
    import numpy as np
    import torch

    from tests.planted import answer

    steps, dtype, k = planted_steps()[planted], inputs["x"].dtype, len(inputs["x"])
    given = answer(inputs, steps)
    got = [np.array(given.loss), *map(np.array, given.gradients.values())]
    expected = [array.astype(dtype) for array in torch_answer(inputs)]
    return {
        FAST: refused_by_gradcheck(steps, inputs, fast=True) if k <= LARGEST_COMPARED else None,
        SLOW: refused_by_gradcheck(steps, inputs, fast=False) if k <= LARGEST_COMPARED else None,
        ALLCLOSE: not all(map(np.allclose, got, expected)),
        ASSERT_CLOSE: any(map(refused_by_assert_close, map(torch.from_numpy, got), map(torch.from_numpy, expected))),
    }


def torch_answer(inputs: Mapping[str, Any]) -> list[Any]:
    """The loss and the gradients of A, B, C that torch computes in float64."""
    import torch

    leaves = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in inputs.values()]
    loss = torch_loss(*leaves)
    return [loss.detach().numpy(), *(gradient.numpy() for gradient in torch.autograd.grad(loss, leaves[:3]))]


def refused_by_assert_close(got: Any, expected: Any) -> bool:
    """Whether `torch.testing.assert_close` raises."""
    import torch

    try:
        torch.testing.assert_close(got, expected)
    except AssertionError:
        return True
    return False


def refused_by_gradcheck(steps: Steps, inputs: Mapping[str, Any], fast: bool) -> bool:
    """Whether `torch.autograd.gradcheck` with its defaults refuses the backend."""
    import torch

    from tests.planted import answer

    class Backend(torch.autograd.Function):  # type: ignore[misc]
        """The backend's own loss, and its own gradients as the backward pass."""

        @staticmethod
        def forward(context: Any, *tensors: Any) -> Any:
            arrays = (tensor.detach().numpy() for tensor in tensors)
            given = answer(dict(zip(inputs, arrays, strict=True)), steps)
            context.gradients = [torch.tensor(array) for array in given.gradients.values()]
            return torch.tensor(given.loss)

        @staticmethod
        def backward(context: Any, adjoint: Any) -> Any:
            return (*(adjoint * gradient for gradient in context.gradients), None)

    tensors = [torch.tensor(array, requires_grad=name != "x") for name, array in inputs.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns about dtypes narrower than float64, and continues
        return not torch.autograd.gradcheck(Backend.apply, tensors, fast_mode=fast, raise_exception=False)


def passes_of_torch(inputs: Mapping[str, Any]) -> float:
    """The seconds of one forward and one backward pass of the problem's loss in torch, in the dtype of the inputs."""
    import torch

    tensors = [torch.tensor(array, requires_grad=name != "x") for name, array in inputs.items()]
    begin = time.perf_counter()
    torch.autograd.grad(torch_loss(*tensors), tensors[:3])
    return time.perf_counter() - begin


def check_grads_of_jax(inputs: Mapping[str, Any]) -> dict[str, float | bool]:
    """The seconds of `jax.test_util.check_grads` in reverse mode on the problem's loss, and whether it passes."""
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)

    def loss(A: Any, B: Any, C: Any) -> Any:
        w = C @ (jax.nn.sigmoid(A @ inputs["x"]) + B @ inputs["x"])
        return jnp.sum(w * w)

    begin = time.perf_counter()
    try:
        check_grads(loss, [inputs[name] for name in "ABC"], order=1, modes=("rev",))
    except AssertionError:
        return {"seconds": time.perf_counter() - begin, "passes": False}
    return {"seconds": time.perf_counter() - begin, "passes": True}


REQUESTS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each for each in (gradcheck_of_torch, refused, passes_of_torch, check_grads_of_jax)
}


def serve() -> None:
    """Answer requests until there are no more."""
    import numpy as np

    for line in sys.stdin:
        request, parameters = json.loads(line)
        with np.load(parameters.pop("inputs")) as arrays:
            answered = REQUESTS[request](inputs=dict(arrays), **parameters)
        print(json.dumps(answered), flush=True)


if __name__ == "__main__":
    serve()
