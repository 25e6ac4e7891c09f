"""Start workers, talk to them, and terminate them. docs/protocol.md describes the messages."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import msgspec

from gradcheck.execution.environments import scrubbed
from gradcheck.execution.standard_error import StandardError
from gradcheck.results import Verdict
from gradcheck.system.idle_threads import let_sleep
from gradcheck.system.interruptions import deferred
from gradcheck.system.lifelines import Lifeline
from gradcheck.text.wording import shortened

# How long a worker has to end, in seconds, after a request to stop, after SIGTERM, and after SIGKILL.
STOP_GRACE = 0.5
TERMINATE_GRACE = 0.5
KILL_GRACE = 5.0  # one that hangs in the kernel, for a disk or a device, ends when the kernel allows it
NO_SPEAKER = "expected a program that speaks the protocol of docs/protocol.md"
LONGEST_SHOWN = 100  # bytes of a line
LONGEST_REASON = 1000  # characters of an error's message
LONGEST_LINE = 1 << 26  # bytes; more without the end of a line is garbage


@dataclass(frozen=True)
class Failure:
    """Why a backend gave no answer. `details` is its traceback or the end of its output.

    If `lost`, its worker is no longer usable; an error that a worker reports itself leaves it ready for more.
    """

    verdict: Verdict
    reason: str
    details: str = ""
    lost: bool = True


class ErrorMessage(msgspec.Struct, frozen=True):
    """An error that a worker reports."""

    kind: Literal["unsupported", "unavailable", "crashed"]
    message: str
    traceback: str = ""


class _Reply(msgspec.Struct, frozen=True):
    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorMessage | None = None


class Worker:
    """A process that hosts one backend. Nothing here waits until it reads or writes: `exchange` does.

    Args:
        command: what to run.
        folder: a private folder, for its temporary files.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._unsent = bytearray()
        self._unread = bytearray()
        self._has_line = self._has_ended = False  # whether a reply has arrived already, or its output has ended
        self._requests = self._replies = 0
        self._lifeline = Lifeline()
        self._standard_error = StandardError()
        try:
            # A session of its own, so that the whole group can be ended, and a Ctrl-C reaches the parent alone.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._standard_error.pipe,
                env=worker_environment(folder), start_new_session=True, bufsize=0,
                pass_fds=self._lifeline.inherited,
            )  # fmt: skip
        except OSError:
            self._lifeline.close()
            self._standard_error.close()
            raise
        self._lifeline.tie(self._process.pid)
        self._end = _end_of(self._process.pid)
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def has_news(self) -> bool:
        """Whether `reply` has a result."""
        return self._has_line or self._has_ended or len(self._unread) > LONGEST_LINE

    def send(self, method: str, **parameters: object) -> None:
        """Send as much of a request as the worker takes; the rest follows when it can take more."""
        self._requests += 1
        self._unsent += msgspec.json.encode({"id": self._requests, "method": method, **parameters}) + b"\n"
        self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._input.fileno(), self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has closed its input; its output still counts
            self._unsent.clear()

    def _read(self) -> None:
        try:
            arrived = os.read(self._output.fileno(), 1 << 16)
        except BlockingIOError:
            return
        self._unread += arrived
        self._has_line |= b"\n" in arrived
        self._has_ended = not arrived

    def _read_to_the_end(self) -> None:
        """Read the output of a process that has ended, even if a child of that process holds the output open."""
        held = -1
        while held < len(self._unread) <= LONGEST_LINE:
            held = len(self._unread)
            self._read()
        self._has_ended = True

    def reply(self) -> msgspec.Raw | Failure:
        """The result of the first request without an answer; a worker without new output has timed out."""
        if not self._has_line:
            return self._silence()
        line, _, rest = self._unread.partition(b"\n")
        self._unread, self._has_line = rest, b"\n" in rest
        if line.startswith(b'{"id":%d,"method":' % (self._replies + 1)):  # as `send` writes it
            return Failure(Verdict.CRASHED, f"answered with gradcheck's own request {shown(bytes(line))}: {NO_SPEAKER}")
        try:
            reply = msgspec.json.decode(line, type=_Reply)
        except (ValueError, RecursionError) as error:  # msgspec's own, and those of text that is not UTF-8
            return self._garbage(bytes(line), error)
        self._replies += 1
        if reply.id != self._replies:
            return self._garbage(bytes(line), f"the id of the request is {self._replies}")
        if reply.error is not None:
            return failed(reply.error, self.printed)
        return reply.result

    def _silence(self) -> Failure:
        if len(self._unread) > LONGEST_LINE:
            return self._garbage(bytes(self._unread[:LONGEST_SHOWN]), "expected a line with an end")
        if self._has_ended and not self._ended(STOP_GRACE):
            return self._crash("closed its output")
        code = self._process.poll()
        if code is None:
            return Failure(Verdict.TIMED_OUT, "no answer in time", self.printed())
        return self._crash(how_it_ended(code))

    def _crash(self, what: str) -> Failure:
        """Why there is no reply, with the incomplete line on standard output, and the last line on standard error."""
        begun = f" in the middle of the line {shown(bytes(self._unread))}" if self._unread else ""
        printed = self.printed()
        written = f", having written {shown(printed.splitlines()[-1].encode())}" if printed else ""
        return Failure(Verdict.CRASHED, f"{what}{begun}{written}", printed)

    def _garbage(self, line: bytes, expected: object) -> Failure:
        hint = "" if line.lstrip().startswith(b"{") else "; write all other text to standard error"
        reason = f"answered {shown(line)}, which is not a reply: {expected}{hint}"
        return Failure(Verdict.CRASHED, reason, self.printed())

    def printed(self) -> str:
        """The end of the worker's output on standard error."""
        return self._standard_error.text(4000)

    def request_stop(self) -> None:
        """The first step of `end`, which does the other steps."""
        if self._input.closed:
            return
        with contextlib.suppress(OSError):
            os.write(self._input.fileno(), b'{"id":0,"method":"stop"}\n')
        self._input.close()

    def end(self) -> None:
        """End the process and all of its group. Signals wait: a signal in between could close a descriptor twice."""
        with deferred():
            end([self])

    def close(self) -> None:
        """Release a process that has ended, and kill the processes that it left."""
        if not self._output.closed:
            self.signal(signal.SIGKILL)
            self._lifeline.close()
            self._standard_error.close()
            self._output.close()
            if self._end is not None:
                os.close(self._end)

    def _ended(self, patience: float) -> bool:
        if self._end is not None and self._process.poll() is None:
            ending = select.poll()  # it wakes at once, where `wait` with a limit looks every few milliseconds
            ending.register(self._end, select.POLLIN)
            ending.poll(patience * 1000)
            patience = 0.0
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


def failed(error: ErrorMessage, printed: Callable[[], str] = str) -> Failure:
    """The failure of an error that a worker reports; its details are what it has printed, if it has no traceback."""
    return Failure(Verdict(error.kind), _reason(error.message), error.traceback or printed(), lost=False)


def end(workers: Collection[Worker]) -> None:
    """End processes with all of their groups, in parallel: send `stop`, terminate them, kill them."""
    for worker in workers:
        worker.request_stop()
    running = still_running(workers, STOP_GRACE)
    for patience, number in ((TERMINATE_GRACE, signal.SIGTERM), (KILL_GRACE, signal.SIGKILL)):
        for worker in running:
            worker.signal(number)
        running = still_running(running, patience)
    for worker in workers:
        worker.close()


def still_running(workers: Collection[Worker], patience: float) -> list[Worker]:
    """The workers that have not ended within some seconds."""
    deadline = time.monotonic() + patience
    return [worker for worker in workers if not worker.ended_by(deadline)]


def worker_environment(folder: Path) -> dict[str, str]:
    """The environment variables of a worker: its temporary files go into its own folder, and are removed with it."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = scrubbed(os.environ) | {"TMPDIR": str(temporary)}
    let_sleep(environment)
    return environment


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "opened with a pipe"
    return stream


def _reason(message: str) -> str:
    """An error's message as the reason of a row, which shows it completely."""
    reason = message.strip() or "an error without a message"
    return shortened(reason, LONGEST_REASON)


def _end_of(pid: int) -> int | None:
    """A descriptor that becomes readable when a process ends; None if the system has none."""
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None


def shown(line: bytes) -> str:
    """The beginning of a worker's line, in quotes."""
    return repr(line[:LONGEST_SHOWN].decode(errors="replace"))


def how_it_ended(code: int) -> str:
    """The exit code of a process in words; -N means signal N."""
    if code >= 0:
        return f"exited with code {code}"
    names = {number.value: number.name for number in signal.Signals}  # real-time signals have none
    return f"was killed by {names.get(-code, f'signal {-code}')}"


def exchange(workers: Iterable[Worker], deadline: float) -> None:
    """Wait until some of several workers read or write (or end), and transfer their data; until `deadline` at most.

    No worker blocks the others: half a reply, or a request that a worker does not read, delays none of them.

    Args:
        workers: the workers.
        deadline: of `time.monotonic`.
    """
    poll, readers, writers, ends = select.poll(), {}, {}, {}
    for worker in workers:
        readers[worker._output.fileno()] = worker
        if worker._end is not None:
            ends[worker._end] = worker
        if worker._unsent:
            writers[worker._input.fileno()] = worker
    for numbers, event in ((readers, select.POLLIN), (ends, select.POLLIN), (writers, select.POLLOUT)):
        for number in numbers:
            poll.register(number, event)
    for number, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if number in readers:
            readers[number]._read()
        elif number in ends:
            ends[number]._read_to_the_end()
        else:
            writers[number]._write()
