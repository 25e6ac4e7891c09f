#!/usr/bin/env python3
"""A program for the problem of faulty.py: right, or wrong in the way that its file's name states."""

import json
import os
import pathlib
import signal
import struct
import sys
import tempfile
import time

way = pathlib.Path(sys.argv[0]).name


def array(*entries, shape=None):
    return {"dtype": "float64", "shape": [len(entries)] if shape is None else shape, "data": entries}


def in_file(folder, name, entries, descr="<f8", code="d"):
    """A .npy file as docs/protocol.md describes it, without NumPy."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len(entries)},), }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    path = pathlib.Path(folder, f"{name}.npy")
    numbers = struct.pack(f"<{len(entries)}{code}", *entries)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + numbers)
    return {"npy": str(path)}


def evaluate(request, times):
    a, b = request["inputs"]["a"], request["inputs"]["b"]
    loss = sum(entry**2 for entry in a["data"] + b["data"])
    da, db = [2 * entry for entry in a["data"]], [2 * entry for entry in b["data"]]
    result = {"loss": array(loss, shape=[]), "gradients": {"a": array(*da), "b": array(*db, shape=b["shape"])}}
    gradients = result["gradients"]
    if way == "wrong-shape":
        gradients["b"] = array(*db)
    elif way == "missing-gradient":
        del gradients["b"]
    elif way == "not-a-number":
        gradients["a"] = array("NaN", *da[1:])
    elif way == "words":
        gradients["a"] = array("no", *da[1:])
    elif way == "half-an-array":
        gradients["a"] = {"data": da}
    elif way == "integers":
        gradients["a"] = in_file(request["folder"], "a", [1, 2, 3], "<i8", "q")
    elif way == "no-file":
        gradients["a"] = {"npy": f"{request['folder']}/none.npy"}
    elif way == "empty-file":
        pathlib.Path(request["folder"], "a.npy").touch()
        gradients["a"] = {"npy": f"{request['folder']}/a.npy"}
    elif way == "in-files":
        gradients["a"] = in_file(request["folder"], "a", da)
    elif way == "unsteady":
        gradients["a"] = array(*[entry * (1 + 1e-9 * times) for entry in da])
    elif way == "no-gradients":
        del result["gradients"]
    elif way == "estimates-of-nothing":
        result["estimates"] = {"c": array(1.0)}
    elif way == "slopes-alone":
        result["slopes"] = array(1.0)
    elif way == "varies-in-nothing":
        result |= {"again_seconds": 0.0, "varies": [["nothing", "a", 1.0]]}
    elif way == "claims-to-repeat-itself":
        gradients["a"] = array(*[entry * (1 + 1e-9 * times) for entry in da])
        result |= {"again_seconds": 0.0, "mutated": ["b"]}
    elif way == "timed":
        result["seconds"] = 0.25
    return {"result": result}


if way == "exits":
    print("planted text on standard error", file=sys.stderr, flush=True)
    sys.exit(7)
if way.startswith("ignores-stop"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if way == "leaves-a-daemon" and os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.execvp("sleep", ["sleep", "600"])
if way == "leaves-a-file":
    pathlib.Path(tempfile.mkdtemp(), "cache").write_text("planted")
times = -1
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    times += 1
    if request["method"] == "stop":
        break
    if request["method"] == "start":
        answer["result"] = {}
    elif way == "garbage":
        print("planted garbage", flush=True)
        continue
    elif way == "deep":
        print('{"id": 2, "result": ' + "[" * 5000 + "]" * 5000 + "}", flush=True)
        continue
    elif way == "another-id":
        answer = {"id": 77, "result": {}}
    elif way in ("hangs", "ignores-stop-and-hangs") or (way == "hangs-the-second-time" and times == 2):
        time.sleep(600)
    elif way == "refuses":
        answer["error"] = {"kind": "unsupported", "message": "planted reason"}
    elif way == "declares-itself-right":
        answer["error"] = {"kind": "agrees", "message": "trust me"}
    else:
        answer |= evaluate(request, times - 1)
    print(json.dumps(answer), flush=True)
while way.startswith("ignores-stop"):
    time.sleep(600)
