"""The worker protocol: one JSON object a line, on a worker's standard input and output.

    → {"id": 1, "method": "start", "backend": "/…/backends/torch.py", "gradient": null}
    ← {"id": 1, "result": {"version": "2.13.0", "python_version": "3.11.7", "packages": {…}, "threads": 2,
       "seconds": 1.2}}
    → {"id": 2, "method": "evaluate", "problem": "/…/sigmoid_skip.py", "dtype": "float64", "wrt": ["A"], "inputs": {…},
       "folder": "/dev/shm/…"}
    ← {"id": 2, "result": {"loss": …, "gradients": {…}, "values": {…}, "adjoints": {…}, "seconds": 0.001,
       "again_seconds": 0.0002, "mutated": [], "varies": []}}
    ← {"id": 2, "error": {"kind": "unsupported", "message": "…", "traceback": "…"}}
    → {"id": 3, "method": "stop"}

An error's kind is `unsupported` (the engine lacks it), `unavailable` (the framework cannot be imported) or `crashed`
(anything else).

A worker asks its backend twice: `mutated` names the inputs that it changed, and `varies` has [kind, name, largest
difference] for each array that was not the same the second time.

An array is {"dtype": "float64", "shape": [3, 3], "data": [numbers, row by row]}, with "NaN", "Infinity" and "-Infinity"
for what is not finite, or {"npy": "/path/of/an/.npy/file"}: a worker writes its files into the request's `folder`.
bfloat16 values travel as float32. Python's shortest decimal form gives back the same bits: nothing is lost on the way.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

INLINE_SIZE = 256  # entries; above it a file is faster than decimal digits


def encode(array: np.ndarray, folder: str, name: str) -> dict[str, Any]:
    """An array as a part of a message; a large one is written to `folder` under `name`.

    Raises:
        TypeError: its entries are no real numbers.
    """
    import numpy as np

    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}: expected real numbers")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.size > INLINE_SIZE:
        path = os.path.join(folder, f"{name}.npy")
        np.save(path, array, allow_pickle=False)
        return {"npy": path}
    return {"dtype": array.dtype.name, "shape": array.shape, "data": [number(each) for each in array.ravel().tolist()]}


def number(value: float) -> float | str:
    """A number as JSON can have it."""
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def decode(message: Mapping[str, Any], mapped: bool = False) -> np.ndarray:
    """The array that a part of a message holds; one in a file is read, or mapped read-only.

    Raises:
        OSError, ValueError, KeyError, TypeError: the message is malformed.
    """
    import numpy as np

    if "npy" in message:
        array: np.ndarray = np.load(message["npy"], mmap_mode="r" if mapped else None, allow_pickle=False)
        return array
    return np.array([float(number) for number in message["data"]], message["dtype"]).reshape(message["shape"])


def write(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message as one line."""
    stream.write(json.dumps(message, allow_nan=False).encode() + b"\n")
    stream.flush()


def read(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Messages as they arrive, until the other side closes."""
    for line in stream:
        yield json.loads(line)
