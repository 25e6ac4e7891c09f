"""Odd replies of a program are judged, or are its own crash; they never flood a report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
NO_RESULT = "gave a result of evaluate that is not valid: "
UNREADABLE = "gave an answer that cannot be read: "
# The reply of a program -> its verdict, and the beginning of the reason.
WAYS = {
    "unknown-keys": ("agrees", ""),
    "very-many-threads": ("agrees", ""),
    "number-as-version": ("crashed", "gave a result of start that is not valid: Expected `str | null`, got `int`"),
    "long-version": ("crashed", "gave a result of start that is not valid: Expected `str` of length <= 200"),
    "negative-seconds": ("agrees", ""),
    "no-message": ("crashed", "an error without a message"),
    "lines-alone": ("crashed", "an error without a message"),
    "long-message": ("unsupported", "x" * 1000 + "…"),
    "unknown-kind": ("crashed", 'answered \'{"id": 2, "error"'),
    "half-precision": ("differs", "dL/da is proved wrong in 3 of 3 entries"),
    "object-as-dtype": ("crashed", f"{UNREADABLE}the array of a: expected floating-point numbers"),
    "lists-as-numbers": ("crashed", f"{UNREADABLE}the array of a: float() argument must be"),
    "truth-values": ("differs", "dL/da is proved wrong in 3 of 3 entries"),
    "number-too-large": ("crashed", ""),
    "gradient-of-no-input": ("differs", "dL/d[/x] is given: [/x] is not in wrt: expected gradients of a, b alone"),
    "value-that-is-not-watched": ("differs", "a value [/x] is given: it is not watched"),
    "wrong-beside-slopes": ("differs", "dL/da is proved wrong in 3 of 3 entries"),
    "infinite": ("differs", "dL/da is proved wrong in 3 of 3 entries"),
    "long-note": ("crashed", f"{NO_RESULT}Expected `str` of length <= 1000"),
    "many-notes": ("crashed", f"{NO_RESULT}Expected `array` of length <= 100"),
    "text-as-notes": ("crashed", f"{NO_RESULT}Expected `array`, got `str`"),
    "notes": ("agrees", ""),
    "varies-by-words": ("crashed", f"{UNREADABLE}could not convert string to float: 'abc'"),
    "varies-by-nan": ("agrees", ""),
    "varies-in-what-is-not-there": ("agrees", ""),
    "changes-what-is-no-input": ("agrees", ""),
    "speaks-first": ("agrees", ""),
    "closes-its-output": ("crashed", "closed its output"),
    "closes-its-input": ("timed-out", "no answer within 2 s"),
    "stops-itself": ("timed-out", "no answer within 2 s"),
    "writes-slowly": ("timed-out", "no answer within 2 s"),
    "twice": ("crashed", 'answered \'{"id": 2, "result"'),
    "ahead": ("agrees", ""),
    "both": ("unsupported", "x"),
    "neither": ("crashed", f"{NO_RESULT}Expected `object`, got `null`"),
    "null": ("crashed", f"{NO_RESULT}Expected `object`, got `null`"),
    "nul": ("crashed", r"answered '\x00', which is not a reply"),
    "blank-line": ("crashed", "answered '', which is not a reply"),
    "carriage-return": ("agrees", ""),
    "fraction-as-id": ("crashed", 'answered \'{"id": 2.0'),
    "large-id": ("crashed", 'answered \'{"id": 1208925819614629174706176'),
    "deep-in-an-unknown-key": ("crashed", 'answered \'{"id": 2'),
    "deep-data": ("crashed", 'answered \'{"id": 2'),
}


@pytest.fixture(scope="module")
def all_ways(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One command that runs all programs, and finally a right gradient."""
    folder = tmp_path_factory.mktemp("replies")
    for way in WAYS:
        (folder / way).write_text((FAKES / "replies.py").read_text().replace("/usr/bin/env python3", sys.executable))
        (folder / way).chmod(0o755)
    words = [word for way in WAYS for word in ("-b", f"exec:./{way}")]
    command = [sys.executable, "-m", "gradcheck", "run", str(FAULTY), *words, "-b", "right", "--timeout", "2"]
    return subprocess.run(
        [*command, "--format", "json"],
        capture_output=True, text=True, cwd=folder, env={"PATH": str(folder)}, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_replies_of_a_program_decide_its_verdict(all_ways: subprocess.CompletedProcess[str], way: str) -> None:
    rows = {row["spec"]: row for row in json.loads(all_ways.stdout)["backends"]}
    row = rows[f"exec:./{way}"]
    verdict, reason = WAYS[way]
    assert row["verdict"] == verdict, row["reason"]
    assert (row["reason"] or "").startswith(reason)
    assert len(row["reason"] or "") < 1100


def test_the_others_stand(all_ways: subprocess.CompletedProcess[str]) -> None:
    assert json.loads(all_ways.stdout)["backends"][-1]["verdict"] == "agrees"
    assert all_ways.returncode == 1


def test_no_reply_floods_the_report(gradcheck: Command, tmp_path: Path) -> None:
    words = []
    for way in ("long-version", "long-message", "long-note", "notes"):
        (tmp_path / way).write_text((FAKES / "replies.py").read_text().replace("/usr/bin/env python3", sys.executable))
        (tmp_path / way).chmod(0o755)
        words += ["-b", f"exec:./{way}"]
    done = gradcheck("run", FAULTY, *words)
    assert len(done.stdout) + len(done.stderr) < 20_000
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
