"""The options of a run: a field of `Settings` declares one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gradcheck.dtypes import DTYPES
from gradcheck.settings.option import Option
from gradcheck.settings.validators import (
    Validator,
    number,
    one_of,
    pattern,
    switch,
    text,
    text_in_reports,
    whole_number,
    whole_number_of,
)

PROGRAM = "exec:"
"""The prefix of the path of a backend that is a program."""
BACKEND_FORMS = f"NAME, NAME==VERSION, NAME@/path/to/python, GRADIENT@ENGINE or {PROGRAM}/path/to/program"
DTYPE = one_of(*DTYPES)
DISTRIBUTION = one_of(
    "uniform", "normal", "saturated", "tiny", "mixed", "zeros", "unit-scaled", "subnormal", "cancelling"
)
FACTOR = number("a finite number other than 0", lambda value: value != 0)
SECONDS = number("a number of seconds above 0, at most 1000000", lambda value: 0 < value <= 1e6)
PARTITION = pattern(
    r"[1-9]\d{0,5}/[1-9]\d{0,5}",
    "M/N with M from 1 to N, such as 1/4",
    allows=lambda value: int(value.partition("/")[0]) <= int(value.partition("/")[2]),
)
DEVICE = pattern(r"cpu|cuda(:\d{1,3})?", "cpu, cuda or cuda:N")


def _path_from(folder: Path, value: str) -> str:
    """A path in a file, from the file's folder; a name stays as it is."""
    return _absolute(folder, value) if "/" in value or "." in value else value


def _program_from(folder: Path, value: str) -> str:
    """A backend in a file; a path of a program is from the file's folder."""
    return PROGRAM + _absolute(folder, value.removeprefix(PROGRAM)) if value.startswith(PROGRAM) else value


def _absolute(folder: Path, path: str) -> str:
    return os.path.normpath(folder / os.path.expanduser(path)) if path else path  # noqa: PTH111 (as in engines)


def option(default: Any, validator: Validator, help: str, metavar: str = "", **others: Any) -> Any:
    """A field that declares an option; the arguments are attributes of `Option`."""
    return field(default=default, metadata={"validator": validator, "help": help, "metavar": metavar, **others})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's checked settings; `given` come from flags and keywords, `stated` from files and variables.

    `values` has the values of each option that has several; the field of such an option has the first of them.
    """

    problem: str = option(
        "sigmoid_skip",
        text_in_reports("a problem's name or the path of a .py file"),
        "A name from `gradcheck problems`, or the path of a problem's file.",
        "PROBLEM",
        several=True,
        rebased=_path_from,
    )
    k: int = option(3, whole_number(1, bits=31), "Size of the problem.", "K", several=True)
    seed: int = option(0, whole_number(0, bits=63), "Seed of the random inputs.", "N", several=True)
    dtype: str = option(
        "float64", DTYPE, f"Dtype of the inputs and of the computation: {DTYPE.expected}.", "DTYPE", several=True
    )
    order: int = option(
        1,
        whole_number_of(1, 2),
        "1: gradients; 2: products of the Hessian and a direction from the seed.",
        "1|2",
    )
    backend: tuple[str, ...] = option(
        (),
        text_in_reports(BACKEND_FORMS),
        f"What to judge: {BACKEND_FORMS}; all: each engine and the file's own gradients.",
        "SPEC",
        keyword="backends",
        letter="-b",
        repeated=True,
        unset="what the problem's file names, else its own gradients",
        rebased=_program_from,
    )
    distribution: str = option(
        "uniform", DISTRIBUTION, f"Distribution of the random inputs: {DISTRIBUTION.expected}.", "NAME", several=True
    )
    scale: float = option(1.0, FACTOR, "Factor on all inputs.", "FACTOR", several=True)
    inputs: str | None = option(
        None,
        text("the path of a .json or .npz file"),
        "Inputs from a .json or .npz file instead of a seed; their shapes determine K.",
        "FILE",
        keyword=None,
        rebased=_path_from,
    )
    device: str = option("cpu", DEVICE, f"Where engines compute: {DEVICE.expected}.", "NAME")
    tf32: bool = option(False, switch(), "Let float32 matrix products on the device round their operands to TF32.")
    timeout: float = option(120.0, SECONDS, "Time limit for a backend to start, and again for each answer.", "SECONDS")
    gate: str = option(
        "rounding",
        one_of("rounding", "formula", "proved"),
        "rounding: refuse errors that rounding cannot explain; formula: refuse wrong formulas, but not lost digits; "
        "proved: refuse proved errors only.",
        "NAME",
    )
    allow: str = option(
        "nothing",
        one_of("nothing", "undecided"),
        "undecided: exit code 0 also where the verdict of the run is undecided.",
        "NAME",
    )
    watch: str = option(
        "named",
        one_of("named", "all"),
        "Which intermediate values engines return: those with a name, or all.",
        "named|all",
    )
    no_build: bool = option(False, switch(), "Never build an environment.", replayed=False)
    details: bool = option(False, switch(), "Print every error, and explain the columns.", keyword=None, replayed=False)
    show_gradients: bool = option(
        False,
        switch(),
        "Print the gradients up to k = 16, not only up to 32 entries of all gradients together.",
        keyword=None,
        replayed=False,
    )
    format: str = option(
        "table",
        text("the name of a report format"),
        "Format of standard output: table, json, github, html, junit or markdown.",
        "NAME",
        keyword=None,
        replayed=False,
    )
    report: tuple[str, ...] = option(
        (),
        text("the path of a file"),
        "Write a report to a file too, in the format that its ending names.",
        "PATH",
        keyword=None,
        repeated=True,
        replayed=False,
        rebased=_path_from,
    )
    store: str | None = option(
        None,
        text("the path of a file"),
        "Keep every outcome in a SQLite file, and evaluate no case that it has.",
        "FILE",
        of_many=True,
        replayed=False,
        rebased=_path_from,
    )
    dask: str | None = option(
        None,
        text("local, or the address of a Dask scheduler"),
        "Evaluate cases on the Dask cluster of a scheduler; local starts one here, of --jobs processes.",
        "ADDRESS",
        of_many=True,
        replayed=False,
    )
    jobs: int = option(
        1, whole_number(1, bits=10), "Processes that evaluate cases side by side.", "N", of_many=True, replayed=False
    )
    partition: str | None = option(
        None,
        PARTITION,
        "Run only the M-th of N parts of the cases; each machine of a cluster may have one.",
        "M/N",
        of_many=True,
        replayed=False,
    )
    write: str | None = option(
        None,
        text("the path of a file"),
        "Write the outcome of each problem, dtype and backend to a text file.",
        "FILE",
        keyword=None,
        replayed=False,
        rebased=_path_from,
    )
    expect: str | None = option(
        None,
        text("the path of a file"),
        "Report verdicts that differ from those in a file that --write made.",
        "FILE",
        keyword=None,
        replayed=False,
        rebased=_path_from,
    )
    given: frozenset[str] = frozenset()
    stated: frozenset[str] = frozenset()
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict, hash=False)


OPTIONS = {
    each.name: Option(each.name, each.default, **{"keyword": each.name, **each.metadata})
    for each in fields(Settings)
    if each.metadata
}
"""By name, in the order in which help lists them."""
