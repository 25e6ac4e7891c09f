"""The table for people: it fits 80 and 160 columns, is plain in a pipe and with NO_COLOR, and shows the errors."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FAKES, Command

RECORD = Path(__file__).parents[1] / "data" / "notebook" / "record.json"
FAULTY = FAKES / "faulty.py"
LONGEST_FREE = ("again:",)  # to be copied, so never folded


def on_a_terminal(*words: object, **variables: str) -> str:
    """The output of the command on a terminal of 80 columns."""
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | variables
    command = [sys.executable, "-m", "gradcheck", *map(str, words)]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    printed = b""
    try:
        while chunk := os.read(parent, 4096):
            printed += chunk
    except OSError:  # Linux reports so that the other side has closed
        pass
    process.wait()
    os.close(parent)
    return printed.decode()


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize(
    "words",
    [
        ("verify", RECORD),
        ("run", FAULTY, "-b", "right", "-b", "wrong_sign", "-b", "not_a_number", "-b", "exits", "--k", "4"),
        ("run", "--k", "64", "-b", "numpy", "-b", "manual", "--distribution", "mixed"),
    ],
)
def test_no_line_is_wider_than_the_terminal_and_none_is_cut(
    gradcheck: Command, words: tuple[object, ...], width: int
) -> None:
    printed = gradcheck(*words, COLUMNS=str(width)).stdout
    lines = [line for line in printed.splitlines() if not line.startswith(LONGEST_FREE)]
    assert max(map(len, lines)) <= width
    assert "…" not in printed


def test_a_wide_terminal_shows_all_digits_and_the_interpreters(gradcheck: Command) -> None:
    printed = gradcheck("run", "-b", "numpy", "--details", COLUMNS="160").stdout
    assert re.search(r"1\.19370609\d{8}", printed)
    assert sys.executable in printed


def test_colours_on_a_terminal_and_none_with_no_color() -> None:
    words = ("run", FAULTY, "-b", "right", "-b", "wrong_sign")
    assert re.search(r"\x1b\[[0-9;]*31m", on_a_terminal(*words)), "red for what differs"
    plain = on_a_terminal(*words, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
    assert "wrong_sign: differs (proved)" in plain


def test_progress_is_shown_on_a_terminal_and_leaves_nothing_behind() -> None:
    printed = on_a_terminal("run", FAULTY, "-b", "right")
    assert "waiting for right" in printed
    assert "agree: every backend agrees" in printed


def test_a_finding_has_the_place_and_the_size(gradcheck: Command) -> None:
    printed = gradcheck("run", FAULTY, "-b", "one_entry_off", "--details").stdout
    assert "one_entry_off: differs (proved): dL/db is proved wrong in 1 of 9 entries" in printed
    assert re.search(r"first wrong: dL/db\[0\]\[0\] = -1.933891 off by 1.9e-06, bound \d.\de-1[56], in 1 of 9", printed)
    assert re.search(r"dL/db\[0\]\[0\] +-1\.93389\d+ +-1\.93388\d+ +1\.9e-06", printed)


def test_a_finding_that_does_not_fit_continues_below_its_own_words(gradcheck: Command) -> None:
    printed = gradcheck("run", FAULTY, "-b", "not_a_number", COLUMNS="60").stdout
    assert (
        "\nnot_a_number: differs (proved): dL/da is proved wrong in 1\n"
        "  of 3 entries\n"
        "  first wrong: dL/da[0] is not a number, true value\n"
        "               0.54784675, in 1 of 3\n"
    ) in re.sub(" +\n", "\n", printed)


def test_gradients_are_shown_if_they_fit_or_on_request(gradcheck: Command) -> None:
    assert "b[4][4]" in gradcheck("run", FAULTY, "-b", "right", "--k", "5").stdout, "30 entries"
    assert "b[5][5]" not in gradcheck("run", FAULTY, "-b", "right", "--k", "6").stdout, "42 entries"
    assert "b[5][5]" in gradcheck("run", FAULTY, "-b", "right", "--k", "6", "--show-gradients").stdout


def test_the_power_of_the_check_is_in_every_report(gradcheck: Command) -> None:
    printed = gradcheck("run", "-b", "numpy").stdout
    assert re.search(r"power: finds relative errors above \d\.\de-1[456] in 99 % of each gradient's entries", printed)
    printed = gradcheck("run", "-b", "numpy", "--details").stdout
    assert "Smallest relative error that would have been caught in an entry" in printed
    assert re.search(r"dL/dA +\d\.\de-1[456] +\d\.\de-1[456]", printed)
