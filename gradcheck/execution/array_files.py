"""The .npy files between gradcheck and its workers: inputs, which are read-only, and answers, which are copied."""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcheck.backends._worker import protocol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

SEALABLE = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


class Inputs:
    """The inputs of a request until they are closed: each worker can read them, and none can change them.

    Large ones are files in memory, which Linux seals against writing: all workers may map the same one. Elsewhere each
    worker has copies in a folder of its own.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        import numpy as np

        self._arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        self._open: list[BinaryIO] = []
        self._sealed: dict[str, Any] = {}
        if SEALABLE:
            self._sealed = {name: protocol.encode(array, self._seal) for name, array in self._arrays.items()}

    def close(self) -> None:
        """Free the memory as soon as no process maps it."""
        while self._open:
            self._open.pop().close()

    def message(self, folder: Path) -> dict[str, Any]:
        """The inputs as parts of a message to the worker that has this folder."""
        if SEALABLE:
            return self._sealed
        numbers = iter(range(len(self._arrays)))

        def save(array: Array) -> str:
            path = folder / f"input-{next(numbers)}.npy"
            with path.open("wb") as file:
                protocol.write_npy(file, array)
            return str(path)

        return {name: protocol.encode(array, save) for name, array in self._arrays.items()}

    def _seal(self, array: Array) -> str:
        import fcntl

        number = os.memfd_create("gradcheck-input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._open.append(file := os.fdopen(number, "wb"))
        protocol.write_npy(file, array)
        file.flush()
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, seals)
        return f"/proc/{os.getpid()}/fd/{number}"


class AnswerFiles:
    """Reads the files of one answer into our own memory: later changes of a file have no effect.

    Args:
        limit: the largest number of bytes of all files together.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self.loaded = False  # whether there was a file

    def decoded(self, name: str, message: Mapping[str, Any]) -> Array:
        """The array of a name in an answer.

        Raises:
            ValueError: there is no readable array.
        """
        try:
            return protocol.decode(message, self.load)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"the array of {name}: {reason[:200]}") from error

    def load(self, path: str) -> Array:
        """A copy of the array in a .npy file. No other object in its place can block the read, or take memory."""
        self.loaded = True
        with _regular(path) as file:
            shape, transposed, dtype = _header(file)
            self._left -= protocol.volume(shape) * dtype.itemsize
            if self._left < 0:
                raise ValueError(f"its shape is {shape}: expected no more than this problem's answers have")
            array = _read(file, shape[::-1] if transposed else shape, dtype)
        return array.T if transposed else array


@contextlib.contextmanager
def _regular(path: str) -> Iterator[BufferedReader]:
    if not isinstance(path, str):
        raise TypeError(f"expected the path of a .npy file, not {path!r}")
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise ValueError("expected a regular file")
        with os.fdopen(number, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(number)


def _header(file: BufferedReader) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    import numpy as np

    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("expected version 1.0 of the .npy format")
    shape, transposed, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind != "f" or dtype.name not in protocol.DTYPES:
        raise TypeError(f"expected floating-point numbers, {', '.join(protocol.DTYPES)}: its dtype is {dtype}")
    if not protocol.is_shape(shape):
        raise ValueError(f"expected lengths: its shape is {shape}")
    return shape, transposed, dtype


def _read(file: BufferedReader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    import numpy as np

    expected = math.prod(shape) * dtype.itemsize
    if (held := os.fstat(file.fileno()).st_size - file.tell()) < expected:
        raise ValueError(f"its file has {held} bytes of numbers: expected {expected}")
    entries = np.empty(math.prod(shape), dtype)
    if file.readinto(entries.view(np.uint8).data) != expected:
        raise ValueError("its file became shorter during reading")
    return entries.reshape(shape).astype(dtype.newbyteorder("="), copy=False)
