"""The worker protocol, one JSON object a line, as docs/protocol.md describes it: its arrays and its lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

INLINE_SIZE = 256  # entries; above it a file is faster than decimal digits
DTYPES = ("float64", "float32", "float16")  # of arrays in messages; long double is another format on each machine
INPUT_DTYPES = (*DTYPES, "int64", "bool")
LARGEST_INLINE = 1 << 26  # entries, more than a line can hold


def real(array: np.ndarray, name: str) -> np.ndarray:
    """A copy of an array, row by row, in a dtype that a message can hold: the array may change afterwards.

    Raises:
        TypeError: its entries are not real numbers.
    """
    import numpy as np

    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}: expected real numbers")
    return np.array(array, array.dtype if array.dtype.name in DTYPES else np.float64, order="C")


def encode(array: np.ndarray, store: Callable[[np.ndarray], str]) -> dict[str, Any]:
    """An array as a part of a message.

    Args:
        array: of a dtype among `INPUT_DTYPES`, row by row; booleans are written as 0 and 1.
        store: writes a large array to a .npy file, and returns its path.
    """
    described = {"dtype": array.dtype.name, "shape": array.shape}
    if array.size > INLINE_SIZE:
        return {**described, "npy": store(array)}
    numbers = array.view("uint8") if array.dtype == bool else array
    return {**described, "data": [number(each) for each in numbers.ravel().tolist()]}


def number(value: float) -> float | str:
    """A number in JSON."""
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def decode(message: Mapping[str, Any], load: Callable[[str], np.ndarray], dtypes: Sequence[str] = DTYPES) -> np.ndarray:
    """The array that a part of a message holds.

    Args:
        message: the part.
        load: reads a .npy file.
        dtypes: the allowed ones.

    Raises:
        Exception: the part holds no array of such a dtype. Another program wrote it: NumPy
            may raise any exception then.
    """
    import numpy as np

    if "npy" in message:
        return load(message["npy"])
    if lacking := [key for key in ("dtype", "shape", "data") if key not in message]:
        raise ValueError(f"no {', '.join(lacking)}")
    dtype, shape, data = message["dtype"], message["shape"], message["data"]
    if dtype not in dtypes:
        raise TypeError(f"expected floating-point numbers, {', '.join(DTYPES)}: its dtype is {dtype!r}")
    if not isinstance(data, list):
        raise TypeError(f"expected a list of numbers: its data are {type(data).__name__}")
    if not is_shape(shape) or volume(shape) > LARGEST_INLINE:
        raise ValueError(f"expected a list of lengths: its shape is {shape!r}")
    with np.errstate(over="ignore"):  # a number beyond its dtype becomes infinite, and is judged as such
        return np.array([float(each) for each in data], dtype).reshape(shape)


def is_shape(shape: object) -> bool:
    """Whether something is a shape."""
    return isinstance(shape, (list, tuple)) and all(type(length) is int and length >= 0 for length in shape)


def volume(shape: Sequence[int]) -> int:
    """The entries of an array. Lengths of zero count as one: to walk an array of no entries takes time too."""
    return math.prod(max(length, 1) for length in shape)


def mapped(path: str) -> np.ndarray:
    """The array of a .npy file, as a mapping that cannot be written to."""
    import numpy as np

    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def write_npy(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array, row by row, as a .npy file.

    Raises:
        OSError: there is no space. (`numpy.save` loses that error if the array fits into a buffer.)
    """
    import numpy as np

    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def write(stream: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write one message as one line."""
    stream.write(json.dumps(message, allow_nan=False).encode() + b"\n")
    stream.flush()


def read(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Messages as they arrive, until the other side closes."""
    for line in stream:
        yield json.loads(line)
