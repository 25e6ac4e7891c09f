#!/usr/bin/env python3
"""A program that answers each request with the next line of the file beside it; @ID@ is the request's number."""

import pathlib
import re
import sys

lines = pathlib.Path(sys.argv[0]).with_suffix(".replies").read_bytes().split(b"\n")
requests = sys.stdin.buffer
for reply in lines:
    request = requests.readline()
    if not request or b'"stop"' in request:
        break
    number = re.match(rb'\{"id":(\d+)', request).group(1)
    sys.stdout.buffer.write(reply.replace(b'"@ID@"', number) + b"\n")
    sys.stdout.flush()
