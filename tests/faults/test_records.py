"""Records and inputs are data: limits apply before memory is allocated, and every error is one line."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck.errors import RequestError
from gradcheck.runs import archives, records, verify
from tests.conftest import Command

RECORDS = Path(__file__).parents[1] / "data" / "faults" / "records"
DATA = sorted(RECORDS.iterdir())
MOST_MEMORY = 1 << 25
"""The largest memory of a hostile record, in bytes."""

RECORD: dict[str, Any] = {
    "problem": "sigmoid_skip",
    "inputs": {"A": [[0.5]], "B": [[0.25]], "C": [[2.0]], "x": [1.0]},
    "answers": {"mine": {"dtype": "float64", "loss": 3.0, "gradients": {"A": [[0.0]], "B": [[0.0]], "C": [[0.0]]}}},
}


def flat(nested: Mapping[str, Any], folder: str = "") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, value in nested.items():
        arrays |= flat(value, f"{folder}{name}/") if isinstance(value, dict) else {f"{folder}{name}": np.array(value)}
    return arrays


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path: Path, **members: bytes | tuple[bytes, int]) -> Path:
    """The record as .npz, with members put in by name; a pair is a beginning and how many MB of zeros follow."""
    path = path / "record.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in flat(RECORD).items():
            if name not in members:
                content = io.BytesIO()
                np.save(content, array)
                file.writestr(f"{name}.npy", content.getvalue())
        for name, member in members.items():
            first, zeros = member if isinstance(member, tuple) else (member, 0)
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(first)
                for _ in range(zeros):
                    stream.write(bytes(10**6))
    return path


def text(path: Path, content: str) -> Path:
    path = path / "record.json"
    path.write_text(content)
    return path


def changed(path: Path, **inputs: Any) -> Path:
    return text(path, json.dumps(RECORD | {"inputs": RECORD["inputs"] | inputs}))


def many(path: Path) -> Path:
    path = path / "record.npz"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(20_000):
            file.writestr(f"a{number}.npy", b"")
    return path


A = "inputs/A"
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "unpacks to 300 MB": (
        lambda path: archive(path, **{A: (header((37_500_000,)), 300)}),
        "bytes when it is unpacked: expected at most 268435456",
    ),
    "grows eightfold in float64": (
        lambda path: archive(path, **{A: (header((100_000_000,), "|i1"), 100)}),
        "expected at most 268435456 bytes in all arrays",
    ),
    "a shape beyond its bytes": (
        lambda path: archive(path, **{A: header((1000, 1000))}),
        "inputs/A has shape (1000, 1000), and not 8000000 bytes",
    ),
    "a shape below its bytes": (lambda path: archive(path, **{A: header((1,)) + bytes(16)}), "and not 8 bytes"),
    "a huge shape": (lambda path: archive(path, **{A: header((10**12,))}), "expected at most 268435456 bytes"),
    "a huge shape without entries": (
        lambda path: archive(path, **{A: header((0, 10**12))}),
        "inputs/A has shape (0, 1000000000000): expected at most 268435456 bytes",
    ),
    "a long shape without entries": (lambda path: archive(path, **{A: header((0, 10**7))}), "no k gives these shapes"),
    "a negative shape": (lambda path: archive(path, **{A: header((-1, -1))}), "expected an array of real numbers"),
    "a shape of too many dimensions": (lambda path: archive(path, **{A: header((1,) * 200) + bytes(8)}), "inputs/A: "),
    "a long header": (
        lambda path: archive(path, **{A: b"\x93NUMPY\x02\x00" + struct.pack("<I", 10**6) + b" " * 10**6}),
        "inputs/A: ",
    ),
    "20,000 members": (many, "a list of members above 1048576 bytes: expected at most 1000 members"),
    "2,000 members": (
        lambda path: archive(path, **{f"a{number}": b"" for number in range(2000)}),
        "members: expected at most 1000",
    ),
    "texts of no length": (lambda path: archive(path, **{A: header((5,), "<U0")}), "inputs/A: "),
    "a long text among many numbers": (
        lambda path: changed(path, A=["a" * 100_000] + [0] * 100_000),
        "expected an array of real numbers",
    ),
    "deep lists": (lambda path: text(path, "[" * 100_000), "record.json: "),
    "a deep array": (lambda path: changed(path, A=json.loads("[" * 100 + "]" * 100)), "more than 32 dimensions"),
    "deep mappings": (lambda path: changed(path, A=json.loads('{"a":' * 500 + "1" + "}" * 500)), "is not a number"),
    "a long problem": (lambda path: text(path, json.dumps(RECORD | {"problem": "a" * 10**6})), "problem: 'aaaa"),
    "a long unknown field": (lambda path: text(path, json.dumps(RECORD | {"a" * 10**6: 1})), "unknown field"),
    "17 MB": (lambda path: text(path, " " * 17_000_000), "more than 16777216 bytes of JSON"),
    "a million empty lists": (
        lambda path: text(path, f"[{'[],' * 1_100_000}[]]"),
        "more than 1048576 lists: expected a .npz file for so many",
    ),
    "many empty lists": (lambda path: changed(path, A=[[]] * 100_000), "no k gives these shapes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_limits_are_checked_before_memory_is_allocated(tmp_path: Path, name: str) -> None:
    make, expected = HOSTILE[name]
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as caught:
            verify.verify_file(path, "rounding")
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", [path.name for path in DATA if path.name[0] in "jz"])
def test_records_that_once_caused_failures(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        verify.verify_file(RECORDS / name, "rounding")
    assert len(str(caught.value)) < 1000
    with contextlib.suppress(RequestError):  # its inputs may be right
        print(records.read_arrays(RECORDS / name))


@pytest.mark.parametrize("name", ["j01_deep.json", "j17_esc_ans.json", "j32_two_markup.json", "z22_zero_big.npz"])
def test_the_command_reports_it_in_one_line(gradcheck: Command, name: str) -> None:
    done = gradcheck("verify", RECORDS / name)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("gradcheck: ")
    assert line.isprintable()


@pytest.mark.parametrize(("name", "code"), [("j01_deep.json", 2), ("j17_esc_ans.json", 0), ("z22_zero_big.npz", 2)])
def test_a_run_takes_the_inputs_of_a_record_alone(gradcheck: Command, name: str, code: int) -> None:
    done = gradcheck("run", "-b", "numpy", "--inputs", RECORDS / name)
    assert done.returncode == code
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(2.5),
                                   np.array(["NaN", "Infinity"]), np.array([True, False]), np.arange(3, dtype="i1"),
                                   np.ones(2, ">f4"), np.array([np.nan, -np.inf])], ids=str)  # fmt: skip
def test_files_of_numpy_are_read_as_numpy_reads_them(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "plain.npz", a=array)
    np.savez_compressed(tmp_path / "compressed.npz", a=array)
    for path in tmp_path.glob("*.npz"):
        with np.load(path) as loaded:
            np.testing.assert_array_equal(records.read_arrays(path)["a"], loaded["a"].astype(np.float64))
            assert archives.read(path)["a"].dtype == array.dtype


def test_an_endless_device_is_not_a_record(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "endless.npz").symlink_to("/dev/zero")
    for name in ("endless.json", "endless.npz"):
        done = gradcheck("verify", name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_damage_anywhere_gives_one_line(tmp_path: Path) -> None:
    """Every byte of an archive changed, one at a time: read, or refused."""
    whole = archive(tmp_path).read_bytes()
    shutil.rmtree(tmp_path / "record.npz", ignore_errors=True)
    path = tmp_path / "damaged.npz"
    refused = []
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            records.read_record(path)
        except RequestError as error:
            refused.append(str(error))
    assert len(refused) > len(whole) / 10, "most of its bytes count"
    assert max(map(len, refused)) < 1000
