"""The cost of whole models: their truth and the judgement of the backward pass by hand, beside PyTorch's own passes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import gradcheck
from benchmarks.common import Table, command
from benchmarks.cost import peak_memory
from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker.source import execute
from gradcheck.judging import judge
from gradcheck.oracle import Format, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of

MODELS = {"gpt2_block": 64, "residual_block": 16}
"""Problem -> k: 4 × 64 tokens of width 128 with 4 heads, and 4 × 16 channels of 32 × 32."""
DTYPES = ("float64", "float32")


def models(small: bool) -> list[Table]:
    """Seconds and memory for each model and dtype."""
    table = Table("Whole models")
    with gradcheck.Session() as session:
        for name, k in MODELS.items():
            for dtype in DTYPES:
                table.rows.append(row(session, name, 3 if small else k, dtype))
    return [table]


def row(session: gradcheck.Session, name: str, k: int, dtype: str) -> dict[str, Any]:
    """The figures of one case."""
    check = Check(name, k, dtype)
    begin = time.perf_counter()
    verdict = check.judgement().verdict
    seconds = time.perf_counter() - begin
    options: dict[str, Any] = {"k": k, "dtype": dtype, "backends": ["torch"]}
    session.check(name, **options)
    (torch,) = session.check(name, **options).backends
    assert torch.seconds is not None, "a framework measures them"
    return {
        "model": name,
        "dtype": dtype,
        "verdict": str(verdict),
        "seconds": seconds,
        "peak MiB": peak_memory(check.judgement) / 2**20,
        "torch's passes, seconds": torch.seconds.again,
    }


class Check:
    """The check of a shipped problem's gradient by hand, which is correct, in this process; its tape is recorded."""

    def __init__(self, name: str, k: int, dtype: str) -> None:
        problem = problems.load(name)
        self.inputs = cases.sample(problem, k, 0, dtype).inputs
        self.tape = tape_of(graph_of(problem, k), wrt_of(problem, k)).at(self.inputs)
        self.format = Format.of(dtype)
        self._by_hand = execute(str(problems.find(name))).gradients["numpy"]
        self.answer = self.by_hand()

    def by_hand(self) -> BackendAnswer:
        """The answer of the gradient by hand."""
        loss, derivatives, values = self._by_hand(**self.inputs)
        arrays = {each: np.asarray(array) for each, array in derivatives.items()}
        return BackendAnswer(
            loss=np.asarray(loss),
            gradients={each: array for each, array in arrays.items() if each in self.inputs},
            values={each: np.asarray(array) for each, array in values.items()},
            adjoints={each: array for each, array in arrays.items() if each not in self.inputs},
        )

    def judgement(self) -> judge.Judgement:
        """The truth, and the judgement of the answer."""
        return judge.judge(self.answer, judge.truth(self.tape, self.inputs, self.format), "rounding")


if __name__ == "__main__":
    command(models)()
