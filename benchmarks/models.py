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
    problem = problems.load(name)
    inputs = cases.sample(problem, k, 0, dtype).inputs
    tape = tape_of(graph_of(problem, k), wrt_of(problem, k))
    answer = by_hand(name, inputs)

    def checked() -> judge.Judgement:
        return judge.judge(answer, judge.truth(tape, inputs, Format.of(dtype)), "rounding")

    begin = time.perf_counter()
    verdict = checked().verdict
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
        "peak MiB": peak_memory(checked) / 2**20,
        "torch's passes, seconds": torch.seconds.again,
    }


def by_hand(name: str, inputs: Any) -> BackendAnswer:
    """The answer of the hand-written backward pass."""
    loss, derivatives, values = execute(str(problems.find(name))).gradients["numpy"](**inputs)
    arrays = {each: np.asarray(array) for each, array in derivatives.items()}
    return BackendAnswer(
        loss=np.asarray(loss),
        gradients={each: array for each, array in arrays.items() if each in inputs},
        values={each: np.asarray(array) for each, array in values.items()},
        adjoints={each: array for each, array in arrays.items() if each not in inputs},
    )


if __name__ == "__main__":
    command(models)()
