"""A case whose inputs the caller has as arrays, of NumPy or of another framework."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck.dtypes import DTYPES
from gradcheck.errors import RequestError
from gradcheck.problems import cases
from gradcheck.problems.cases import Case
from gradcheck.results import Report
from gradcheck.runs.records import EXPECTED, as_array, dtype_name, plain
from gradcheck.runs.runner import Runner
from gradcheck.settings import Settings
from gradcheck.system import caches, files
from gradcheck.text.wording import shortened

WHERE = "inputs"
"""The beginning of messages, and the name of the folder in the user's cache."""
MOST_KEPT = 500
"""The largest number of files in that folder: the oldest ones go first."""
LONGEST_SHOWN = 100
OWN = __name__.partition(".")[0]


def are_arrays(inputs: Any) -> bool:
    """Whether the inputs of a function are arrays, and not shapes."""
    several = inputs.values() if isinstance(inputs, Mapping) else ()
    return any(hasattr(each, "dtype") or isinstance(each, float) for each in several)


def arrays_of(inputs: Any) -> dict[str, npt.NDArray[Any]]:
    """Arrays of any framework, floats and nested lists as arrays of NumPy, by name.

    Raises:
        RequestError: one is something else.
    """
    if not isinstance(inputs, Mapping):
        raise RequestError(f"{WHERE} is of type {type(inputs).__name__}: expected {EXPECTED['inputs']}")
    return {str(name): _array(value, str(name)) for name, value in inputs.items()}


def _array(value: Any, name: str) -> npt.NDArray[Any]:
    if isinstance(value, (int, float, list)):
        return as_array(value, f"{WHERE}: {name}")
    has_dtype = hasattr(value, "dtype")
    if has_dtype and (array := plain(value)).dtype.kind in "biuf":
        return array
    shown = f"of dtype {value.dtype}" if has_dtype else shortened(repr(value).replace("\n", " "), LONGEST_SHOWN)
    raise RequestError(f"{WHERE}: {name} is {shown}: expected an array of real numbers")


def dtype_of(inputs: Mapping[str, Any], settings: Settings) -> str:
    """The dtype of a case: the requested one, or that of its floating arrays.

    Raises:
        RequestError: they have several, or one that is none of ours.
    """
    if "dtype" in settings.given:
        return settings.dtype
    found = {name: dtype for name, value in inputs.items() if "float" in (dtype := dtype_name(value))}
    own = [*dict.fromkeys(found.values())]
    if len(own) > 1:
        listed = ", ".join(f"{name} is {dtype}" for name, dtype in found.items())
        raise RequestError(f"{WHERE}: {listed}: expected one dtype, or dtype= with the one to round them to")
    if own and own[0] not in DTYPES:
        raise RequestError(f"{WHERE}: {next(iter(found))} is {own[0]}: expected one of {', '.join(DTYPES)}, or dtype=")
    return own[0] if own else settings.dtype


def check(runner: Runner, settings: Settings, inputs: Mapping[str, Any], arrays: Mapping[str, Any]) -> Report:
    """Evaluate one case of given inputs, and judge the answers.

    If one does not agree, the inputs are kept in a file, which the command in the report reads.

    Args:
        runner: evaluates it.
        settings: of the run.
        inputs: as the caller has them.
        arrays: the same in NumPy.

    Raises:
        RequestError: they do not fit the problem, or the request is wrong.
    """
    settings = replace(settings, dtype=dtype_of(inputs, settings))
    case = case_of(runner, settings, arrays)
    path = caches.folder(WHERE) / f"{case.problem.path.stem}-{case.inputs_sha256[:16]}.npz"
    report = runner.run(replace(settings, inputs=str(path)), case)
    if report.exit_code:
        keep(case, path)
        return report
    return msgspec.structs.replace(report, case=msgspec.structs.replace(report.case, replay=place_of_call()))


def case_of(runner: Runner, settings: Settings, arrays: Mapping[str, Any]) -> Case:
    """The case of arrays; cotangents and directions that they lack are drawn from the seed.

    Raises:
        RequestError: a name, a shape, a kind, a size or a number does not fit the problem.
    """
    problem = runner.problem(settings)
    exact = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    size = cases.size_of(problem, exact, WHERE, settings.k)
    if "k" in settings.given and size not in (None, settings.k):
        raise RequestError(f"k={settings.k}: the inputs have size {size}: expected k={size}, or none")
    return cases.given(problem, size, settings.dtype, exact, WHERE, settings.order, settings.seed)


def keep(case: Case, path: Path) -> None:
    """Write the inputs of a case to a file.

    Raises:
        RequestError: it cannot be written.
    """
    content = io.BytesIO()  # not by np.savez: an input may be called `file`, as one of its own arguments is
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in case.inputs.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
    try:
        caches.make(path.parent)
        for old in sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)[: 1 - MOST_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}: expected a cache that can be written") from None
    files.write(path, content.getvalue(), WHERE)


def place_of_call() -> str:
    """The `file:line` of the caller outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == OWN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
