"""The worker protocol, one JSON object a line, as docs/protocol.md tells it: its arrays and its lines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

INLINE_SIZE = 256  # entries; above it a file is faster than decimal digits
WIDEST = 8  # bytes of a number: float64; long double is another format on each machine
MALFORMED = (OSError, EOFError, ValueError, TypeError, OverflowError)
"""What `decode` raises where a message is malformed."""


def encode(array: np.ndarray, folder: str, name: str) -> dict[str, Any]:
    """An array as a part of a message; a large one is written to `folder` under `name`.

    Raises:
        TypeError: its entries are no real numbers.
    """
    import numpy as np

    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}: expected real numbers")
    if array.dtype.kind != "f" or array.dtype.itemsize > WIDEST:
        array = array.astype(np.float64)
    described = {"dtype": array.dtype.name, "shape": array.shape}
    if array.size > INLINE_SIZE:
        path = os.path.join(folder, f"{name}.npy")
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)  # row by row: programs read no other order
        return {**described, "npy": path}
    return {**described, "data": [number(each) for each in array.ravel().tolist()]}


def number(value: float) -> float | str:
    """A number as JSON can have it."""
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def decode(message: Mapping[str, Any], mapped: bool = False) -> np.ndarray:
    """The array that a part of a message holds; one in a file is read, or mapped read-only.

    Raises:
        MALFORMED: it holds none of floating-point numbers.
    """
    import numpy as np

    if "npy" in message:
        array: np.ndarray = np.load(message["npy"], mmap_mode="r" if mapped else None, allow_pickle=False)
    elif lacking := [key for key in ("dtype", "shape", "data") if key not in message]:
        raise ValueError(f"no {', '.join(lacking)}")
    else:
        with np.errstate(over="ignore"):  # what its dtype does not hold is infinite, and judged as that
            array = np.array([float(each) for each in message["data"]], message["dtype"]).reshape(message["shape"])
    if not (isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.dtype.itemsize <= WIDEST):
        raise TypeError("expected floating-point numbers of at most 64 bits")
    return array


def write(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message as one line."""
    stream.write(json.dumps(message, allow_nan=False).encode() + b"\n")
    stream.flush()


def read(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Messages as they arrive, until the other side closes."""
    for line in stream:
        yield json.loads(line)
