#!/usr/bin/env python3
"""A program for the problem of faulty.py with a right gradient, and a reply of the kind that its file's name states."""

import json
import math
import os
import pathlib
import signal
import sys
import time

way = pathlib.Path(sys.argv[0]).name
DEEP = 100_000
STARTS = {
    "long-version": {"version": "v" * 1_000_000},
    "very-many-threads": {"threads": 2**70},
    "negative-seconds": {"seconds": -1e308},
    "unknown-keys": {"later": [[[]]], "version": "1"},
    "number-as-version": {"version": 1},
}
ERRORS = {
    "no-message": {"kind": "crashed", "message": ""},
    "lines-alone": {"kind": "crashed", "message": "\n\n"},
    "long-message": {"kind": "unsupported", "message": "x" * 1_000_000},
    "unknown-kind": {"kind": "agrees", "message": "x"},
}


def array(entries, shape):
    written = [x if math.isfinite(x) else str(x).replace("inf", "Infinity").replace("nan", "NaN") for x in entries]
    return {"dtype": "float64", "shape": shape, "data": written}


def answer(request):
    a, b = (request["inputs"][name]["data"] for name in "ab")
    k, factor = len(a), 3 if way == "wrong-factor" else 2
    gradients = {"a": array([2 * x for x in a], [k]), "b": array([factor * x for x in b], [k, k])}
    return {"loss": array([sum(x * x for x in a + b)], []), "gradients": gradients}


def spoil(result):
    """Change the result in the named way."""
    a = result["gradients"]["a"]
    k = len(a["data"])
    if way == "half-precision":
        a["dtype"] = "float16"
    elif way == "object-as-dtype":
        a["dtype"] = {"names": ["a"], "formats": ["f8"]}
    elif way == "lists-as-numbers":
        a["data"] = [[[]]] * k
    elif way == "truth-values":
        a["data"] = [True] * k
    elif way == "number-too-large":
        a["data"] = ["@"] * k
    elif way == "gradient-of-no-input":
        result["gradients"]["[/x]"] = array([1.0], [1])
    elif way == "value-that-is-not-watched":
        result["values"] = {"[/x]": array([1.0], [1])}
    elif way == "wrong-beside-slopes":
        a["data"] = [5.0] * k
        signs = {"a": array([1.0] * k, [1, k]), "b": array([1.0] * k * k, [1, k, k])}
        result |= {"slopes": array([0.0], [1]), "directions": signs, "estimates": {"slopes": array([math.inf], [1])}}
    elif way == "infinite":
        a["data"] = ["Infinity"] * k
    elif way == "long-note":
        result["notes"] = ["x" * 100_000]
    elif way == "many-notes":
        result["notes"] = ["x"] * 1000
    elif way == "text-as-notes":
        result["notes"] = "abc"
    elif way == "notes":
        result["notes"] = ["\x1b[2J[/b]\nagree: every backend agrees"]
    elif way == "varies-by-words":
        result |= {"again_seconds": 0.0, "varies": [["gradient", "a", "abc"]]}
    elif way == "varies-by-nan":
        result |= {"again_seconds": 0.0, "varies": [["gradient", "a", "NaN"]]}
    elif way == "varies-in-what-is-not-there":
        result |= {"again_seconds": 0.0, "varies": [["gradient", "[/zz]", 5.0]]}
    elif way == "changes-what-is-no-input":
        result |= {"again_seconds": 0.0, "mutated": ["\x1b[2J[/x]"]}


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(message):
    write(json.dumps(message) + "\n")


if way == "speaks-first":
    say({"id": 1, "result": {}})
if way == "closes-its-output":
    os.close(1)
    time.sleep(600)
if way == "closes-its-input":
    os.close(0)
    time.sleep(600)
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "stop":
        break
    reply = {"id": request["id"]}
    if request["method"] == "start":
        if way != "speaks-first":
            say(reply | {"result": STARTS.get(way, {})})
        continue
    reply["result"] = answer(request)
    spoil(reply["result"])
    text = json.dumps(reply).replace('"@"', "1e400")
    if way in ERRORS:
        say({"id": request["id"], "error": ERRORS[way]})
    elif way == "stops-itself":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif way == "writes-slowly":
        for each in text:
            write(each)
            time.sleep(0.05)
    elif way == "twice":
        write(f"{text}\n{text}\n")
    elif way == "ahead":
        write(text + "\n" + text.replace(f'"id": {request["id"]}', f'"id": {request["id"] + 1}') + "\n")
    elif way == "both":
        say(reply | {"error": {"kind": "unsupported", "message": "x"}})
    elif way == "neither":
        say({"id": request["id"]})
    elif way == "null":
        say({"id": request["id"], "result": None})
    elif way == "nul":
        write("\0\n")
    elif way == "blank-line":
        write(f"\n{text}\n")
    elif way == "carriage-return":
        write(f"{text}\r\n")
    elif way == "fraction-as-id":
        say(reply | {"id": float(request["id"])})
    elif way == "large-id":
        say(reply | {"id": 2**80})
    elif way == "deep-in-an-unknown-key":
        write(f'{text[:-1]}, "later": {"[" * DEEP}{"]" * DEEP}}}\n')
    elif way == "deep-data":
        reply["result"]["gradients"]["a"]["data"] = "@"
        write(json.dumps(reply).replace('"@"', "[" * DEEP + "]" * DEEP) + "\n")
    else:
        write(text + "\n")
