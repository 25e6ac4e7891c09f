"""PyTorch compiled: torch.compile of the loss as one graph, with its reverse mode, by inductor, on the CPU."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Engine, Operations, Unsupported
from gradcheck.backends.torch import Torch

if TYPE_CHECKING:
    from gradcheck.backends._worker.graph import InterpretedGraph
    from gradcheck.backends.torch import Tensors

VARIANT_OF = "torch"
DEVICES: dict[str, dict[str, object]] = {}  # on a GPU inductor is another compiler, which uses Triton: it is not tested

FORMATS: dict[str, dict[str, object]] = {
    "float64": {},
    "float32": {},
    "float16": {"accumulator": "float32", "excess_precision": True},
    "bfloat16": {"accumulator": "float32", "flushes": True, "excess_precision": True},
}


class CompiledTorch(Torch):
    """PyTorch, which compiles each loss once for each shape and dtype of its inputs."""

    def __init__(self) -> None:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process: others might outlive it
        super().__init__()
        for words in self.functions.values():
            del words["directional_derivative"]  # what it compiles is differentiated once
        tempfile.tempdir = compiled_code(self.torch.backends.cpu.get_cpu_capability()) or tempfile.tempdir
        import torch._dynamo.config

        torch._dynamo.config.recompile_limit = sys.maxsize  # of sizes and dtypes in one session
        torch._dynamo.config.accumulated_recompile_limit = sys.maxsize
        self.compiled = functools.lru_cache(self._compiled)

    def differentiate(
        self, graph: InterpretedGraph, leaves: Tensors, wrt: Sequence[str]
    ) -> tuple[Any, Tensors, Tensors, Tensors]:
        for name in wrt:
            leaves[name].requires_grad_()
        ops = Operations(self.primitives, lambda _, value: self._zeros_like(value))
        zero = self._zeros_like(graph.loss(ops, **leaves))  # its own errors come here, uncompiled
        sources = [leaves[name] for name in wrt] + list(ops.offsets.values())
        try:
            loss, values = self.compiled(graph)(leaves, ops.offsets, zero)
            found = self.torch.autograd.grad(loss, sources, materialize_grads=True)
        except RuntimeError as error:  # all of the compiler's are
            raise Unsupported(f"torch.compile cannot do it here: {_gist(error)}") from error
        return loss, dict(zip(wrt, found)), values, dict(zip(ops.offsets, found[len(wrt) :]))

    def _compiled(self, graph: InterpretedGraph) -> Callable[..., Any]:
        def loss(leaves: Tensors, offsets: Tensors, zero: Any) -> tuple[Any, Tensors]:
            ops = Operations(self.primitives, lambda name, _: offsets[name])
            return graph.loss(ops, **leaves) + zero, ops.values  # zero: a gradient even if only stop_gradient uses it

        compiled: Callable[..., Any] = self.torch.compile(loss, fullgraph=True, dynamic=False)
        return compiled


def compiled_code(capability: str) -> str | None:
    """The folder in the user's cache for inductor's compiled code, where it can be written.

    Each capability of processors ("AVX2") has its own: inductor runs code that was compiled for another one, and ends
    with a segmentation fault, as in a home that machines share, or where ATEN_CPU_CAPABILITY emulates an older one.

    By default inductor keeps its code in Python's temporary folder, which is removed with the worker; its headers stay
    there whatever TORCHINDUCTOR_CACHE_DIR says.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "gradcheck", "compiled", capability.replace(" ", "-"))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _gist(error: Exception) -> str:
    """The compiler's message in one line, without its hints for bug reports."""
    return " ".join(str(error).partition("Set TORCHDYNAMO_VERBOSE")[0].split())[:300]


def load() -> Engine:
    """Import PyTorch."""
    return CompiledTorch()
