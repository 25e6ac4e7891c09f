#!/usr/bin/env python3
"""A program for the problem of faulty.py that damages files or the protocol, in the way that its file's name states."""

import json
import os
import pathlib
import shutil
import signal
import struct
import sys
import time
import zipfile

way = pathlib.Path(sys.argv[0]).name


def say(message):
    print(json.dumps(message), flush=True)


def array(entries, shape):
    return {"dtype": "float64", "shape": shape, "data": entries}


def numbers(part):
    if "data" in part:
        return part["data"]
    content = pathlib.Path(part["npy"]).read_bytes()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    return list(struct.unpack(f"<{(len(content) - start) // 8}d", content[start:]))


def npy(header, entries=(), order="<"):
    """The content of a .npy file."""
    text = (header if isinstance(header, str) else repr(header)).encode()
    text += b" " * (-(11 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + struct.pack(f"{order}{len(entries)}d", *entries)


def described(*shape, descr="<f8", fortran=False):
    return {"descr": descr, "fortran_order": fortran, "shape": shape}


def file_of_a(folder, da):
    """The object in place of the file of dL/da."""
    path, k = folder / "a.npy", len(da)
    if way == "pipe":
        os.mkfifo(path)
    elif way == "folder":
        path.mkdir()
    elif way == "link":
        path.symlink_to("/etc/passwd")
    elif way == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", b"x")
    elif way in ("sparse", "sparse-of-another-name"):
        path.write_bytes(npy(described(10**10)))
        os.truncate(path, 8 * 10**10 + 128)
    elif way == "no-entries":
        path.write_bytes(npy(described(0, 10**15)))
    elif way == "cut-short":
        path.write_bytes(npy(described(k), da[1:]))
    elif way == "broken-header":
        path.write_bytes(npy("{'descr':((((("))
    elif way == "deep-header":
        path.write_bytes(npy("-" * 9000 + "1"))
    elif way == "whole-numbers":
        path.write_bytes(npy(described(k, descr="<i8"), da))
    elif way == "big-endian":
        path.write_bytes(npy(described(k, descr=">f8"), da, order=">"))
    else:
        path.write_bytes(npy(described(k), da))
    return str(path)


PATHS = {
    "zeros": "/dev/zero", "terminal": "/dev/tty", "text": "/etc/passwd", "memory": "/proc/self/mem", "number": 0,
    "null": None, "nul": "/tmp/\0x", "long": "/" + "a" * 100_000,
}  # fmt: skip
PARTS = {
    "subarray": {"dtype": "(1000000000000,)f8"}, "structure": {"dtype": "f8,f8"}, "objects": {"dtype": "O"},
    "long-double": {"dtype": "longdouble"}, "list-of-dtypes": {"dtype": ["float64"]}, "no-dtype": {"dtype": None},
    "below-zero": {"shape": [-1]}, "huge": {"shape": [10**18, 10**18]}, "huger": {"shape": [10**30]},
    "many-of-nothing": {"shape": [10**15, 0], "data": []}, "fractions": {"shape": [3.0]}, "words": {"data": "123"},
}  # fmt: skip
FILES = (
    "pipe", "folder", "link", "zip", "sparse", "no-entries", "cut-short", "broken-header", "deep-header",
    "whole-numbers", "big-endian", "rewritten", "emptied",
)  # fmt: skip
first = None  # the file of the first answer, which stays open


def evaluate(request, times):
    global first
    a, b = (numbers(request["inputs"][name]) for name in "ab")
    da, db, k = [2 * entry for entry in a], [2 * entry for entry in b], len(a)
    folder = pathlib.Path(request["folder"])
    gradients = {"a": array(da, [k]), "b": array(db, [k, k])}
    if way in PATHS:
        gradients["a"] = {"npy": PATHS[way]}
    elif way in PARTS:
        gradients["a"] |= PARTS[way]
    elif way in FILES:
        entries = [99.0] * k if way == "rewritten" and times == 1 else da
        gradients["a"] = {"npy": file_of_a(folder, entries)}
    elif way == "sparse-of-another-name":
        gradients["c"] = {"npy": file_of_a(folder, da)}
    elif way == "columns-first":
        content = npy(described(k, k, fortran=True), [db[k * j + i] for i in range(k) for j in range(k)])
        (folder / "b.npy").write_bytes(content)
        gradients["b"] = {"npy": str(folder / "b.npy")}
    elif way == "makes-the-next-folder":
        (folder.parent / "again").mkdir(exist_ok=True)
        (folder.parent / "again" / "full").touch()
    elif way == "removes-its-folder":
        shutil.rmtree(folder)
    elif way == "removes-its-parent":
        shutil.rmtree(folder.parent)
    elif way == "removes-the-folders-of-all":
        shutil.rmtree(pathlib.Path(os.environ["TMPDIR"]).parents[1], ignore_errors=True)
    elif way == "number-in-a-file":
        (folder / "loss.npy").write_bytes(npy(described(), [sum(entry**2 for entry in a + b)]))
        return {"loss": {"npy": str(folder / "loss.npy")}, "gradients": gradients}
    elif way == "closes-its-parent":
        folder.parent.chmod(0)
    elif way == "writes-into-inputs":
        with pathlib.Path(request["inputs"]["b"]["npy"]).open("r+b") as file:
            file.seek(128)
            file.write(bytes(8 * k * k))
    elif way == "empties-inputs":
        os.truncate(request["inputs"]["b"]["npy"], 0)
    if way in ("rewritten", "emptied") and times == 1:
        first = (folder / "a.npy").open("r+b")
    elif way == "rewritten":
        first.write(npy(described(k), da))
        first.flush()
    elif way == "emptied":
        first.truncate(0)
    return {"loss": array([sum(entry**2 for entry in a + b)], []), "gradients": gradients}


if way == "real-time-signal":
    os.kill(os.getpid(), 40)
if way == "no-utf-8":
    sys.stdout.buffer.write(b'{"id":1,"result":{"version":"\xff\xfe"}}\n')
    sys.stdout.flush()
    time.sleep(600)
times = 0
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "stop":
        break
    if request["method"] == "start":
        say({"id": request["id"], "result": {}})
        if way == "reads-nothing-more":
            time.sleep(600)
        continue
    times += 1
    if way == "half-a-line":
        print('{"id":', end="", flush=True)
        time.sleep(600)
    if way == "floods-and-hangs":
        while True:
            os.write(2, b"x" * 65536)
    if way == "leaves-a-child":
        if os.fork() == 0:
            signal.pause()
        os._exit(5)
    if way == "fills-memory":
        with pathlib.Path(request["folder"], "full").open("wb") as full:
            try:
                while True:
                    full.write(b"x" * 65536)
            except OSError:
                pass
        pathlib.Path(os.environ["FULL"]).touch()
        time.sleep(600)
    say({"id": request["id"], "result": evaluate(request, times)})
    if way == "leaves-a-child-and-an-answer":
        if os.fork() == 0:
            signal.pause()
        os._exit(5)
