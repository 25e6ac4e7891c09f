"""The cost of whole models: their truth and the judgement of the backward pass by hand, beside PyTorch's own passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gradcheck
from benchmarks.common import PROBLEM, Table, command
from benchmarks.timing import peak_resident, timed
from benchmarks.watching import recurrent
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


STEPS = 1000
WIDTH = 64
ON_A_DEVICE = ("float64", "float32", "TF32", "float16", "bfloat16")


def models(small: bool) -> list[Table]:
    """Seconds and memory for each model and dtype, and for a recurrent network of many steps."""
    table = Table("Whole models")
    steps, width = (20, 8) if small else (STEPS, WIDTH)
    with gradcheck.Session() as session:
        for dtype in DTYPES:
            for name, k in MODELS.items():
                table.rows.append(row(session, name, (name, 3 if small else k, dtype)))
            network = (recurrent(steps, width), None, dtype, width**-0.5)
            table.rows.append(row(session, f"recurrent network, {steps:,} steps of width {width}", network))
    return [table]


def row(session: gradcheck.Session, title: str, case: tuple[Any, ...]) -> dict[str, Any]:
    """The figures of one case, the arguments of `Check`."""
    check = Check(*case)
    verdicts: list[str] = []
    seconds = timed(lambda: verdicts.append(str(check.judgement().verdict)))
    session.check(check.name, **check.options, backends=["torch"])
    (torch,) = session.check(check.name, **check.options, backends=["torch"]).backends
    assert torch.seconds is not None, "a framework measures them"
    assert torch.seconds.again is not None, "it answers twice"
    return {
        "model": title,
        "dtype": check.options["dtype"],
        "verdict": verdicts[0],
        "seconds": seconds,
        "peak MiB": peak_resident(judgement_of, *case) / 2**20,
        "torch's passes, seconds": torch.seconds.again,
        "this / passes": seconds / torch.seconds.again,
    }


def judgement_of(*case: Any) -> Callable[[], judge.Judgement]:
    """What judges a case."""
    return Check(*case).judgement


def on_a_device(k: int) -> Table:
    """The passes of torch and JAX on a GPU, and the whole check, whose truth and judgement stay on the processor."""
    table = Table(f"On a GPU, K = {k:,}")
    if not Path("/dev/nvidia0").exists():
        table.rows.append({"device": "there is no GPU: skipped"})
        return table
    with gradcheck.Session() as session:
        for name in ON_A_DEVICE:
            tf32 = name == "TF32"
            options: dict[str, Any] = {"k": k, "dtype": "float32" if tf32 else name, "device": "cuda", "tf32": tf32}
            for backend in ("torch", "jax"):
                session.check(PROBLEM, **options, backends=[backend])
                reports: list[gradcheck.Report] = []
                seconds = timed(lambda: reports.append(session.check(PROBLEM, **options, backends=[backend])))  # noqa: B023
                (found,) = reports[0].backends
                passes = found.seconds.again if found.seconds else None  # with the transfer of inputs and answer
                table.rows.append({
                    "device": "cuda",
                    "format": name,
                    "backend": backend,
                    "verdict": str(found.verdict),
                    "passes, seconds": passes,
                    "check, seconds": seconds,
                })  # fmt: skip
    return table


class Check:
    """The check of a problem's gradient by hand, which is correct, in this process; its tape is recorded.

    Args:
        name: of a shipped problem, or the path of a file.
        k: its size; None where it has one.
        dtype: of the case.
        scale: of its inputs.
    """

    def __init__(self, name: str, k: int | None, dtype: str, scale: float = 1.0) -> None:
        problem = problems.load(name)
        self.name = name
        self.options: dict[str, Any] = {"dtype": dtype, "scale": scale} | ({} if k is None else {"k": k})
        self.inputs = cases.sample(problem, k, 0, dtype, scale=scale).inputs
        self.tape = tape_of(graph_of(problem, k), wrt_of(problem, k)).at(self.inputs)
        self.format = Format.of(dtype)
        self._by_hand = execute(str(problems.find(name))).gradients["numpy"]
        self.answer = self.by_hand()

    def by_hand(self) -> BackendAnswer:
        """The answer of the gradient by hand."""
        loss, derivatives, *some = self._by_hand(**self.inputs)
        values = some[0] if some else {}
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
