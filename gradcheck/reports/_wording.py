"""The case of a report in words, and paths as others show them."""

from __future__ import annotations

import os

import msgspec

from gradcheck.results import CaseRecord


def case_in_words(case: CaseRecord) -> str:
    """A case in one line: "layer.py  k = 2  seed 0  float64  uniform"."""
    return f"{case.problem}  {drawn(case)}"


def drawn(case: CaseRecord) -> str:
    """What a case is beside its problem: "k = 2  seed 0  float64  uniform"."""
    size = [] if case.k is msgspec.UNSET else [f"k = {case.k}"]
    inputs = [case.dtype, "given inputs"] if case.seed is None else [f"seed {case.seed}", case.dtype, case.distribution]
    factor = "" if case.scale == 1 else f" × {case.scale:g}"
    return "  ".join([*size, *inputs]) + factor


def in_workspace(file: str) -> str | None:
    """The path of a file from the folder that GitHub checked out, or from the current one; None if it is elsewhere."""
    folder = os.path.realpath(os.environ.get("GITHUB_WORKSPACE") or ".")
    path = os.path.relpath(os.path.realpath(file), folder)
    return None if path.startswith(os.pardir) else path
