"""Arrays from files: .npz, or JSON with nested lists."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from gradcheck.errors import RequestError

Array = npt.NDArray[np.floating[Any]]


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays by name, in float64, from a .npz file or a JSON object of nested lists.

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: as_array(archive[name], f"{path}: {name}") for name in archive.files}
        table = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise RequestError(f"inputs {str(path)!r}: {error.strerror}: expected a .json or .npz file") from None
    except (ValueError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise RequestError(f"{path}: {error}: expected arrays by name, as .npz or as JSON") from None
    return {name: as_array(value, f"{path}: {name}") for name, value in table.items()}


NON_FINITE: Mapping[str, float] = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def as_array(value: Any, where: str) -> Array:
    """Nested lists of numbers (or "NaN", "Infinity", "-Infinity") as an array of float64.

    Raises:
        RequestError: they are no array of numbers; `where` is shown.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind in "USO":
            array = np.vectorize(lambda entry: NON_FINITE.get(entry, entry), otypes=[object])(array)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        return np.asarray(array, np.float64)
    except (ValueError, TypeError) as error:
        raise RequestError(f"{where}: {error}: expected an array of real numbers") from None
