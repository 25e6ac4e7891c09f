"""Arrays in a .npz file, with limits that are checked before memory is allocated."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

MOST_MEMBERS = 1000
MOST_BYTES = 1 << 28
"""The largest size of all unpacked members, and of all arrays in float64: 256 MiB."""
LONGEST_READ = 1 << 20
"""Bytes at a time; zipfile reads the list of all members at once."""
NUMBERS = "biuf"
TEXTS = "US"
SAVED_BFLOAT16 = "|V2"
"""What `np.savez` makes of it: bytes without a meaning."""
WIDTH = 8
"""Bytes of a number in float64, the dtype of all results."""


class Refused(ValueError):
    """A refused archive; the message says why, and what was expected."""


class _Bounded(io.FileIO):
    """A file that is read in small pieces."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = LONGEST_READ + 1 if size is None or size < 0 else min(size, LONGEST_READ + 1)
        content = super().read(wanted) or b""
        if len(content) > LONGEST_READ:
            raise Refused(f"a list of members above {LONGEST_READ} bytes: expected at most {MOST_MEMBERS} members")
        return content


def read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of numbers and texts in a .npz file, by name.

    Raises:
        Refused: it holds something else, or more than the limits allow.
        OSError: it cannot be read.
        Exception: any exception of zipfile, if it is not an archive, or a damaged one.
    """
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused(f"{len(members)} members: expected at most {MOST_MEMBERS}")
        if (unpacked := sum(member.file_size for member in members)) > MOST_BYTES:
            raise Refused(f"{unpacked} bytes when it is unpacked: expected at most {MOST_BYTES}")
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, array in _arrays(archive, members):
            if name in arrays:
                raise Refused(f"two members {name!r}: expected each name once")
            arrays[name] = array
        return arrays


def _arrays(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    left = MOST_BYTES
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            raise Refused(f"member {name!r}: expected .npy files only")
        try:
            with archive.open(member) as file:
                array, taken = _array(file, name, left)
        except Refused:
            raise
        except Exception as error:  # zipfile, NumPy and the decompressors may raise any exception
            raise Refused(f"{name}: {str(error) or type(error).__name__}: expected what np.savez writes") from error
        left -= taken
        yield name, array


def _array(file: Any, name: str, left: int) -> tuple[npt.NDArray[Any], int]:
    """A member's array, and its bytes in float64, of which at most `left` are allowed."""
    shape, fortran, dtype = _header(file, name)
    taken = math.prod(max(size, 1) for size in shape) * max(dtype.itemsize, WIDTH)
    if taken > left:
        raise Refused(f"{name} has shape {shape}: expected at most {MOST_BYTES} bytes in all arrays")
    size = math.prod(shape) * dtype.itemsize
    content = file.read(size + 1)
    if len(content) != size:
        raise Refused(f"{name} has shape {shape}, and not {size} bytes: expected what np.savez writes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C"), taken


def _header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype of a .npy file, before its array."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise Refused(f"{name} has version {version}: expected (1, 0) or (2, 0)")
    shape, fortran, dtype = readers[version](file)
    if dtype.kind not in NUMBERS + TEXTS or any(size < 0 for size in shape):
        hint = "; of bfloat16, save .astype(np.float32)" if dtype.str == SAVED_BFLOAT16 else ""
        raise Refused(f"{name} has dtype {dtype} and shape {shape}: expected an array of real numbers{hint}")
    return shape, fortran, dtype
