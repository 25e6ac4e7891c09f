"""One of several processes of a run of many cases: `python -m gradcheck.runs.job` answers requests as a worker does.

It gets batches of cases on standard input, and gives their outcomes on standard output, in JSON lines.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, BinaryIO

import msgspec

from gradcheck.errors import Interrupted, RequestError
from gradcheck.outcomes import CaseOutcome
from gradcheck.runs.many import evaluated
from gradcheck.runs.plan import PlannedCase
from gradcheck.runs.runner import Runner

LONGEST_DETAILS = 4000
"""Characters of what a failed backend printed."""


class Outcomes(msgspec.Struct, frozen=True):
    """The reply to a batch: its outcomes in MessagePack, or why the request is wrong; and what backends have printed.

    The reply to `start` has no outcomes.
    """

    outcomes: bytes = b""
    refused: str | None = None
    details: list[tuple[str, str]] = []

    def decoded(self) -> list[CaseOutcome]:
        """The outcomes."""
        return msgspec.msgpack.decode(self.outcomes, type=list[CaseOutcome])


class Collected:
    """Collects what failed backends print, for the process that has the terminal."""

    def __init__(self) -> None:
        self.printed: list[tuple[str, str]] = []

    def building(self, spec: str, text: str) -> None:
        """An environment is under construction."""

    def built(self, spec: str, complete: bool) -> None:
        """An environment is complete, or cannot be built."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def details(self, spec: str, text: str) -> None:
        """A backend failed."""
        self.printed.append((spec, text[-LONGEST_DETAILS:]))


def main() -> None:
    """Answer requests until the standard input ends, or a signal comes."""
    signal.signal(signal.SIGTERM, interrupt)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a problem prints while it is recorded is no reply
    try:
        with Runner(listener := Collected()) as runner:
            for request in requests(sys.stdin.buffer):
                result = start(request) if request["method"] == "start" else evaluate(request, runner, listener)
                replies.write(msgspec.json.encode({"id": request["id"], "result": result}) + b"\n")
                replies.flush()
    except Interrupted:
        pass


def interrupt(number: int, frame: FrameType | None) -> None:
    """End the process, and its workers."""
    raise Interrupted


def requests(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """The requests as they come. A request to stop, or the end of the stream, interrupts an evaluation."""
    arrived: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in stream:
            request = msgspec.json.decode(line)
            if request["method"] == "stop":
                break
            arrived.put(request)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield arrived.get()


def start(request: Mapping[str, Any]) -> Outcomes:
    """Find the modules that the process of the command finds."""
    os.environ.update(request["environment"])
    sys.path[:] = request["path"]
    return Outcomes()


def evaluate(request: Mapping[str, Any], runner: Runner, listener: Collected) -> Outcomes:
    """The outcomes of a batch."""
    batch = msgspec.convert(request["cases"], list[PlannedCase])
    listener.printed.clear()
    try:
        found = evaluated(batch, runner)
    except RequestError as error:
        return Outcomes(refused=str(error))
    return Outcomes(outcomes=msgspec.msgpack.encode(found), details=listener.printed)


if __name__ == "__main__":
    main()
