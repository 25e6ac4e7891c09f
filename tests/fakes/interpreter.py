#!/usr/bin/env python3
"""Stands in for a backend's interpreter and violates the protocol, in the way that its file's name states."""

import json
import pathlib
import sys
import time

way = pathlib.Path(sys.argv[0]).name
for line in sys.stdin:
    request = json.loads(line)
    if way == "garbage":
        print("this is no reply", flush=True)
    elif way == "half-a-line":
        print('{"id": 1, "resu', end="", flush=True)
        sys.exit(0)
    elif way == "another-id":
        print(json.dumps({"id": request["id"] + 1, "result": {}}), flush=True)
    elif way == "empty-result":
        print(json.dumps({"id": request["id"], "result": {}}), flush=True)
    elif way == "endless-line":
        while True:
            sys.stdout.write("x" * 1_000_000)
    elif way == "deaf":
        time.sleep(600)
