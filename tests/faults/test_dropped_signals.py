"""A signal ends the command also where Python or a problem's code drops the exception that its handler raises."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.endings import RIGHT, Run

# Each sends a signal, once, in code where Python drops the exception of its handler.
DROPPING = {
    "a destructor": """
class Dropping:
    def __del__(self):
        send()

def drop():
    Dropping()
""",
    "a callback of a weak reference": """
def drop():
    dead = set()
    reference = weakref.ref(dead, lambda _: send())
    del dead
""",
    "a callback of the garbage collector": """
def drop():
    def collecting(phase, info):
        gc.callbacks.remove(collecting)
        send()
    gc.callbacks.append(collecting)
    gc.collect()
""",
    "a generator that is never closed": """
def suspended():
    try:
        yield
    finally:
        send()

def drop():
    next(suspended())
""",
    "code that catches everything": """
def drop():
    try:
        send()
    except BaseException:
        pass
""",
}
SENDING = """
import gc, signal, sys, weakref

def send():
    if "gradcheck.cli" in sys.modules and not hasattr(sys, "sent"):
        sys.sent = True
        signal.raise_signal(signal.SIGTERM)

def loss(ops, a, b):
    drop()
    return ops.sum(a * a) + ops.sum(b * b)
"""


def problem(folder: Path, where: str) -> Path:
    path = folder / "dropping.py"
    path.write_text(RIGHT.read_text() + SENDING + DROPPING[where])
    return path


@pytest.mark.parametrize("where", DROPPING)
def test_a_dropped_signal_ends_a_run_that_would_continue(tmp_path: Path, where: str) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Run(temporary, ["run", problem(tmp_path, where), "-b", "right", "-b", "hangs"]) as run:
        printed, errors = run.ended()
        assert (run.process.returncode, printed, errors) == (130, "", "gradcheck: interrupted\n")
        assert run.processes() == []
        assert run.folders() == []


def test_a_run_that_ends_before_its_signal_is_sent_again_was_interrupted(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = tmp_path / "script.py"
    script.write_text("import sys; from gradcheck.cli import _signals, main; _signals.QUIET = 600; main(sys.argv[1:])")
    words = ["run", problem(tmp_path, "code that catches everything"), "-b", "right"]
    with Run(temporary, words, script=script) as run:
        printed, errors = run.ended()
        assert "agree: every backend agrees" in printed
        assert (run.process.returncode, errors) == (130, "gradcheck: interrupted\n")


def test_other_exceptions_that_python_drops_are_still_shown(tmp_path: Path) -> None:
    path = problem(tmp_path, "a destructor")
    path.write_text(path.read_text().replace("        send()\n", "        raise OSError('planted')\n"))
    with Run(tmp_path, ["run", path, "-b", "right"]) as run:
        _, errors = run.ended()
        assert run.process.returncode == 0
        assert "OSError: planted" in errors


# A signal while handlers are set counts as the start, or the end, of the command.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("ignored", "code"), [(False, 130), (True, 0)])
def test_a_signal_while_handlers_are_set_means_that_it_was_interrupted_or_nothing(
    tmp_path: Path, number: signal.Signals, ignored: bool, code: int
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import signal\n"
        "from gradcheck.cli import main\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup pytest` ignores it\n"
        "set_handler = signal.signal\n"
        "def set_and_send(number, handler):\n"
        f"    if number == {number.value} and {ignored} and handler is signal.SIG_IGN:\n"
        "        signal.raise_signal(number)\n"
        "    old = set_handler(number, handler)\n"
        f"    if number == {number.value} and not {ignored}:\n"
        "        signal.raise_signal(number)\n"
        "    return old\n"
        "signal.signal = set_and_send\n"
        "main(['schema'])\n"
    )
    with Run(tmp_path, [], script=script) as run:
        _, errors = run.ended()
        assert (run.process.returncode, errors) == (code, "gradcheck: interrupted\n" if code else "")
