#!/usr/bin/env python3
"""A witness for the problem of faulty.py, with a wrong gradient: its file's name states its claim about its errors."""

import json
import pathlib
import sys

way = pathlib.Path(sys.argv[0]).name


def filled(entry, *shape):
    """An array that holds one number everywhere."""
    count = 1
    for size in shape:
        count *= size
    return {"dtype": "float64", "shape": list(shape), "data": [entry] * count}


def claims(k):
    """Estimates, and slopes with their directions where the name says so."""
    entry = {"below-zero": -1e300, "of-minus-infinity": "-Infinity", "of-nan": "NaN", "of-infinity": "Infinity"}
    if way in entry:
        return {"estimates": {"a": filled(entry[way], k), "b": filled(entry[way], k, k)}}
    count, step, slope, estimate = 1, 1.0, 5.0, 0.0
    if way == "no-slopes":
        count = 0
    elif way == "slopes-nowhere":
        step = slope = 0.0
    elif way == "slopes-along-nan":
        step = "NaN"
    elif way == "slopes-along-thirds":
        step = 1 / 3
    elif way == "slopes-of-infinity":
        slope = "Infinity"
    elif way == "slopes-below-zero":
        estimate = -1.0
    directions = {"a": filled(step, count, k), "b": filled(step, count, k, k)}
    if way == "slopes-of-a-alone":
        directions["b"] = filled(0.0, count, k, k)
    if way == "one-slope-nowhere":
        count, nothing = 2, [0.0] * k
        directions = {"a": filled(1.0, 2, k), "b": filled(0.0, 2, k, k)}
        directions["a"]["data"][k:] = nothing
        directions["b"]["data"][0] = 1.0
    return {
        "gradients": {},
        "slopes": filled(slope, count),
        "directions": directions,
        "estimates": {"slopes": filled(estimate, count)},
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    if request["method"] == "stop":
        break
    if request["method"] == "start":
        answer["result"] = {}
    else:
        a, b = request["inputs"]["a"], request["inputs"]["b"]
        k = len(a["data"])
        loss = {"dtype": "float64", "shape": [], "data": [sum(entry**2 for entry in a["data"] + b["data"])]}
        wrong = {"a": filled(5.0, k), "b": filled(7.0, k, k)}
        answer["result"] = {"loss": loss, "gradients": wrong, **claims(k)}
    print(json.dumps(answer), flush=True)
