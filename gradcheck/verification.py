"""Gradients that were computed elsewhere, judged like any backend's."""

from __future__ import annotations

import shlex
from pathlib import Path

from gradcheck import cases, composition, judge, problems
from gradcheck.catalogue import Spec
from gradcheck.oracle import Format
from gradcheck.records import as_arrays, read_record
from gradcheck.results import Report
from gradcheck.tapes import record_tape


def verify(path: Path, gate: str) -> Report:
    """Judge the answers of a record.

    Args:
        path: of the record, .json or .npz.
        gate: "proved" or "rounding", see `gradcheck.judge.judge`.

    Raises:
        RequestError: the record cannot be read, or does not fit its problem.
    """
    record = read_record(path)
    problem = problems.load(_beside(record.problem, path))
    inputs = as_arrays(record.inputs, f"{path}: inputs")
    k = cases.size_of(problem, inputs, str(path))
    tape = record_tape(problem, k)
    dtypes = dict.fromkeys(answer.dtype for answer in record.answers.values())
    drawn = {dtype: cases.given(problem, k, dtype, inputs, str(path)) for dtype in dtypes}
    # Nothing is known of the engine: it may flush subnormal numbers, and sum in its own dtype.
    formats = {dtype: Format.of(dtype, flushes=True) for dtype in dtypes}
    truths = {dtype: judge.truth(tape, drawn[dtype].inputs, formats[dtype]) for dtype in dtypes}
    answers = {name: told.answer(f"{path}: {name}") for name, told in record.answers.items()}
    backends = [
        composition.answered(
            Spec(name), drawn[told.dtype], answers[name], judge.judge(answers[name], truths[told.dtype], gate), None
        )
        for name, told in record.answers.items()
    ]
    first = next(iter(dtypes))
    replay = shlex.join(["gradcheck", "verify", str(path), *(["--gate", gate] if gate != "rounding" else [])])
    return composition.report(drawn[first], replay, truths[first], backends, answers, {})


def _beside(problem: str, path: Path) -> str:
    """A problem's name, or the path of its file, taken from the record's folder."""
    return str(path.parent / problem) if problem.endswith(".py") else problem
