"""Start workers, talk to them, time them out and end them. docs/protocol.md tells what is said."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import msgspec

from gradcheck.environments import scrubbed
from gradcheck.lifelines import Lifeline
from gradcheck.results import Verdict

# How long a worker has to end, in seconds, when it is asked to stop, terminated, and killed.
STOP_GRACE = 0.5
TERMINATE_GRACE = 0.5
KILL_GRACE = 5.0  # one that hangs in the kernel, for a disk or a device, ends when it may
LONGEST_LINE = 1 << 26  # bytes; a worker that writes more without a line's end answers garbage


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no answer. `details` is its traceback or the end of what it printed.

    `lost` says that its worker is of no further use; an error that a worker itself reports leaves it ready for more.
    """

    verdict: Verdict
    reason: str
    details: str = ""
    lost: bool = True


class _Error(msgspec.Struct, frozen=True):
    kind: Literal["unsupported", "unavailable", "crashed"]
    message: str
    traceback: str = ""


class _Reply(msgspec.Struct, frozen=True):
    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class Worker:
    """A process that hosts one backend.

    Args:
        command: what to run.
        folder: a private folder for its arrays and for what it prints.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._printed = folder / "stderr"
        self._unread = bytearray()
        self.has_line = False  # whether a reply has been read already
        self._requests = self._replies = 0
        self._lifeline = Lifeline()
        with self._printed.open("wb") as printed:
            try:
                # A session of its own, so that the whole group can be ended, and a Ctrl-C reaches the parent alone.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=printed,
                    env=worker_environment(folder), start_new_session=True, bufsize=0,
                    pass_fds=self._lifeline.inherited,
                )  # fmt: skip
            except OSError:
                self._lifeline.close()
                raise
        self._lifeline.tie(self._process.pid)
        self._input, self.output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._input.fileno(), False)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, method: str, deadline: float, **parameters: object) -> Failure | None:
        """Send a request. A worker that does not read it until `deadline` (of `time.monotonic`) has timed out."""
        self._requests += 1
        rest = msgspec.json.encode({"id": self._requests, "method": method, **parameters}) + b"\n"
        while rest:
            if not ready([self._input], select.POLLOUT, deadline):
                return self._timed_out()
            try:
                rest = rest[os.write(self._input.fileno(), rest) :]
            except BrokenPipeError:
                return self._death()
        return None

    def receive(self, deadline: float) -> msgspec.Raw | Failure:
        """The result of the first request that is not answered yet."""
        line = self._line(deadline)
        if isinstance(line, Failure):
            return line
        try:
            reply = msgspec.json.decode(line, type=_Reply)
        except (msgspec.MsgspecError, RecursionError) as error:
            return self._garbage(line, error)
        self._replies += 1
        if reply.id != self._replies:
            return self._garbage(line, f"the id of the request is {self._replies}")
        if reply.error is not None:
            details = reply.error.traceback or self.printed()
            return Failure(Verdict(reply.error.kind), reply.error.message, details, lost=False)
        return reply.result

    def _line(self, deadline: float) -> bytes | Failure:
        while not self.has_line:
            if len(self._unread) > LONGEST_LINE:
                return self._garbage(bytes(self._unread[:60]), "a line has an end")
            if not ready([self.output], select.POLLIN, deadline):
                return self._timed_out()
            arrived = os.read(self.output.fileno(), 1 << 16)
            if not arrived:
                return self._death()
            self._unread += arrived
            self.has_line = b"\n" in arrived
        line, _, rest = self._unread.partition(b"\n")
        self._unread, self.has_line = rest, b"\n" in rest
        return bytes(line)

    def _garbage(self, line: bytes, expected: object) -> Failure:
        reason = f"answered {line[:60].decode(errors='replace')!r}, which is no reply: {expected}"
        return Failure(Verdict.CRASHED, reason, self.printed())

    def _timed_out(self) -> Failure:
        return Failure(Verdict.TIMED_OUT, "no answer in time", self.printed())

    def _death(self) -> Failure:
        if not self._ended(STOP_GRACE):
            return Failure(Verdict.CRASHED, "closed its output", self.printed())
        code = self._process.returncode
        what = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return Failure(Verdict.CRASHED, what, self.printed())

    def printed(self) -> str:
        """The end of what the worker has printed."""
        with self._printed.open("rb") as file:
            file.seek(max(0, self._printed.stat().st_size - 4000))
            return file.read().decode(errors="replace").strip()

    def ask_to_stop(self) -> None:
        """The first step of `end`, which does the rest."""
        if self._input.closed:
            return
        with contextlib.suppress(OSError):
            os.write(self._input.fileno(), b'{"id":0,"method":"stop"}\n')
        self._input.close()

    def bury(self) -> None:
        """End the process and all of its group."""
        end([self])

    def close(self) -> None:
        """Let go of a process that has ended, and kill whatever it started and left."""
        if not self.output.closed:
            self.signal(signal.SIGKILL)
            self._lifeline.close()
            self.output.close()

    def _ended(self, patience: float) -> bool:
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ended_by(self, deadline: float) -> bool:
        """Whether the process ends before a moment of `time.monotonic`."""
        return self._ended(max(0.0, deadline - time.monotonic()))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def end(workers: Collection[Worker]) -> None:
    """End processes with all of their groups, side by side: ask them to stop, terminate them, kill them."""
    for worker in workers:
        worker.ask_to_stop()
    running = still_running(workers, STOP_GRACE)
    for patience, number in ((TERMINATE_GRACE, signal.SIGTERM), (KILL_GRACE, signal.SIGKILL)):
        for worker in running:
            worker.signal(number)
        running = still_running(running, patience)
    for worker in workers:
        worker.close()


def still_running(workers: Collection[Worker], patience: float) -> list[Worker]:
    """Those of several workers that have not ended within some seconds."""
    deadline = time.monotonic() + patience
    return [worker for worker in workers if not worker.ended_by(deadline)]


def worker_environment(folder: Path) -> dict[str, str]:
    """The environment variables of a worker: its temporary files go into its own folder, and away with that."""
    temporary = folder / "tmp"
    temporary.mkdir()
    return scrubbed(os.environ) | {"TMPDIR": str(temporary)}


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "opened with a pipe"
    return stream


def ready(streams: Iterable[IO[bytes]], event: int, deadline: float) -> list[IO[bytes]]:
    """Wait until one of several pipes can be read or written (or is closed); none where the deadline comes first."""
    poll = select.poll()
    by_number = {stream.fileno(): stream for stream in streams}
    for number in by_number:
        poll.register(number, event)
    return [by_number[number] for number, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
