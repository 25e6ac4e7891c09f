"""The checkers that torch ships, in the interpreter that has torch: a process that answers requests, one JSON line each.

`ask = Peers(...)` in the benchmark's own process; this file as a program in the other. That one has torch and NumPy, and
what is imported of gradcheck here needs no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent


class Peers:
    """A context in which the peers answer; `python` is an interpreter that has torch."""

    def __init__(self, python: Path) -> None:
        command = [str(python), "-m", "benchmarks.peers"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, bufsize=1
        )

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def ask(self, request: str, **parameters: Any) -> Any:
        """Call one of `REQUESTS` over there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([request, parameters]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process ended at {request}({parameters})")
        return json.loads(line)


def seconds_of_gradcheck(k: int, fast: bool) -> float:
    """The time of one `torch.autograd.gradcheck` with its defaults on the problem's loss, which passes or not."""
    import torch

    from gradcheck.cases import sample
    from gradcheck.problems import load

    problem = load("sigmoid_skip")
    inputs = sample(problem, k, 0, "float64").inputs
    tensors = [torch.tensor(array, requires_grad=name in problem.wrt) for name, array in inputs.items()]
    begin = time.perf_counter()
    torch.autograd.gradcheck(torch_loss, tensors, fast_mode=fast, raise_exception=False)
    return time.perf_counter() - begin


def torch_loss(A: Any, B: Any, C: Any, x: Any) -> Any:
    """The problem's loss in torch."""
    import torch

    w = C @ (torch.sigmoid(A @ x) + B @ x)
    return torch.sum(w * w)


REQUESTS: Mapping[str, Callable[..., Any]] = {"seconds_of_gradcheck": seconds_of_gradcheck}


def serve() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request, parameters = json.loads(line)
        print(json.dumps(REQUESTS[request](**parameters)), flush=True)


if __name__ == "__main__":
    serve()
