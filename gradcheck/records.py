"""Arrays and records of answers from files: JSON with nested lists, or .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck.answers import Answer, Printed
from gradcheck.errors import RequestError

T = TypeVar("T")
Array = npt.NDArray[np.floating[Any]]
NON_FINITE: Mapping[str, float] = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
Places = Annotated[int, msgspec.Meta(ge=1, le=30)]


class PrintedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an answer's numbers were rounded for print: one of the two is given."""

    decimals: Places | None = None
    significant: Places | None = None

    def __post_init__(self) -> None:
        """Check that one is given."""
        if (self.decimals is None) == (self.significant is None):
            raise ValueError("one of decimals and significant is given")


class AnswerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as a file has it: arrays as nested lists, or as they come from a .npz file."""

    dtype: Literal["float64", "float32", "float16", "bfloat16"]
    loss: Any
    gradients: dict[str, Any]
    values: dict[str, Any] = {}
    adjoints: dict[str, Any] = {}
    printed: PrintedRecord | None = None

    def answer(self, where: str) -> Answer:
        """The answer, its arrays in float64.

        Raises:
            RequestError: something in it is no array of numbers; `where` is shown.
        """
        return Answer(
            loss=as_array(self.loss, f"{where}: loss"),
            gradients=as_arrays(self.gradients, f"{where}: gradients"),
            values=as_arrays(self.values, f"{where}: values"),
            adjoints=as_arrays(self.adjoints, f"{where}: adjoints"),
            printed=Printed(self.printed.decimals, self.printed.significant) if self.printed else None,
        )


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Gradients that were computed elsewhere: of which problem, at which inputs, and each answer by its name."""

    problem: str
    inputs: dict[str, Any]
    answers: Annotated[dict[str, AnswerRecord], msgspec.Meta(min_length=1)]


def read_record(path: Path) -> Record:
    """Read a record.

    In a .npz file the keys are paths: `problem`, `inputs/A`, `answers/torch/dtype`, `answers/torch/gradients/A`, ….

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    return _convert(_nested(_read(path), path), Record, path)


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays by name, in float64, from a .npz file or a JSON object of nested lists.

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    return as_arrays(_convert(_read(path), dict[str, Any], path), str(path))


def as_arrays(values: Mapping[str, Any], where: str) -> dict[str, Array]:
    """Each value as an array; see `as_array`."""
    return {name: as_array(value, f"{where}: {name}") for name, value in values.items()}


def as_array(value: Any, where: str) -> Array:
    """Nested lists of numbers (or "NaN", "Infinity", "-Infinity") as an array of float64.

    Raises:
        RequestError: they are no array of numbers; `where` is shown.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind in "US":
            array = np.vectorize(lambda entry: NON_FINITE.get(entry, entry), otypes=[object])(array)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        if array.dtype.kind == "O" and None in array.ravel().tolist():  # NumPy would read it as NaN
            raise TypeError("a number is missing")
        return np.asarray(array, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise RequestError(f"{where}: {error}: expected an array of real numbers") from None


def _read(path: Path) -> Any:
    """What a file holds, unchecked: a .npz file's single strings and numbers as such."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path):  # NumPy would read a .npy file too, and think that others are pickled
                archive = np.load(path, allow_pickle=False)
            with archive:
                arrays = {name: archive[name] for name in archive.files}
            return {name: array.item() if array.shape == () else array for name, array in arrays.items()}
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise RequestError(f"{str(path)!r}: {error.strerror or error}: expected a .json or .npz file") from None
    except (ValueError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise RequestError(f"{path}: {error}: expected JSON, or a .npz file") from None


def _nested(flat: Any, source: Path) -> Any:
    """Keys that are paths as nested mappings.

    Raises:
        RequestError: a key is the folder of another; `source` is shown.
    """
    if not isinstance(flat, dict):
        return flat
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, name = path.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise RequestError(f"{source}: {path}: expected no value at {folder}, which holds it")
        place[name] = value
    return nested


def _convert(value: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"{path}: {error}") from None
