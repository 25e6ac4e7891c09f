"""Control characters and markup from names, versions, notes, reasons and paths appear as text, without effect."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gradcheck.text.escaping import as_argument, escaped, quoted
from tests.conftest import Command

HOSTILE = "\x1b[2J\x1b]0;mine\x07[/x][bold]:smile:\nagree: every backend agrees\u202e\x9b1m"
SHOWN = r"\x1b[2J\x1b]0;mine\x07[/x][bold]:smile:\nagree: every backend agrees\u202e\x9b1m"
PROBLEM = """
import numpy as np
def inputs(k): return {"a": (k,)}
def loss(ops, a): return ops.sum(a * a)
def right(a): return np.sum(a * a), {"a": 2 * a}
def raising(a): raise ValueError(HOSTILE)
gradients = {"right": right, "raising": raising}
HOSTILE = """
PROGRAM = """#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "stop": break
    if request["method"] == "start": result = {"version": HOSTILE}
    print(HOSTILE, file=sys.stderr, flush=True)
    if request["method"] != "start":
        print(json.dumps({"id": request["id"], "error": {"kind": "crashed", "message": HOSTILE, "traceback": HOSTILE}}))
    else:
        print(json.dumps({"id": request["id"], "result": result}))
    sys.stdout.flush()
"""


def assert_shown(done: subprocess.CompletedProcess[str], shown: str = SHOWN) -> None:
    text = done.stdout + done.stderr
    assert all(each.isprintable() for each in text.replace("\n", "")), ascii(text)
    assert "".join(shown.split()) in "".join(done.stdout.split()), "wherever the table folds it"
    assert not any(line.startswith("agree: every") for line in text.splitlines())


def test_escaping() -> None:
    assert escaped("W ‖x‖² dL/dπ") == "W ‖x‖² dL/dπ"
    assert escaped(HOSTILE) == SHOWN
    assert escaped("caf\udce9.py") == r"caf\udce9.py", "a byte of a path that is no UTF-8"


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", "$HOME `x` \\", "a\nb\x1b[2J", "é\u202e", "caf\udce9", ""]
)
def test_a_shell_reads_a_quoted_word_as_it_was(word: str) -> None:
    assert quoted([word]).isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {quoted([word])}"], capture_output=True, check=True)
    assert done.stdout == word.encode("utf-8", "surrogateescape")


def test_a_path_is_not_an_option() -> None:
    assert as_argument("-b.py") == "./-b.py"
    assert as_argument(Path("b.py")) == "b.py"


def test_exceptions_of_gradients(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(PROBLEM + repr(HOSTILE))
    done = gradcheck("run", "problem.py", "-b", "right", "-b", "raising", COLUMNS="200")
    assert done.returncode == 3
    assert_shown(done, SHOWN.partition(r"\n")[0])  # a reason is one line
    assert SHOWN.partition(r"\n")[0] in done.stderr, "the traceback"


def test_texts_of_programs(gradcheck: Command, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAM.replace("import json", f"HOSTILE = {HOSTILE!r}\nimport json", 1))
    program.chmod(0o755)
    done = gradcheck("run", "-b", "exec:./program", COLUMNS="200")
    assert done.returncode == 3
    assert_shown(done)  # its version
    assert SHOWN.partition(r"\n")[0] in done.stderr, "the end of what it printed"


def test_texts_of_programs_in_a_json_report(gradcheck: Command, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAM.replace("import json", f"HOSTILE = {HOSTILE + chr(127)!r}\nimport json", 1))
    program.chmod(0o755)
    done = gradcheck("run", "-b", "exec:./program", "--format", "json")
    assert done.stdout.replace("\n", "").isprintable()
    assert json.loads(done.stdout)["backends"][0]["version"] == HOSTILE + chr(127)


def test_a_name_with_markup_in_a_file(gradcheck: Command, tmp_path: Path) -> None:
    name = "[bold]a[x]:smile:"
    (tmp_path / f"{'[red]p'}.py").write_text(
        PROBLEM.replace('{"a": (k,)}', f'{{"{name}": (k,)}}').replace("(ops, a)", "(ops, **v)").replace("(a)", "(**v)")
        .replace("2 * a", f'2 * v["{name}"]').replace('{"a":', f'{{"{name}":').replace("a * a", f'v["{name}"] ** 2')
        + "''"
    )  # fmt: skip
    done = gradcheck("run", "[red]p.py", "-b", "right", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert f"dL/d{name}" in done.stdout
    assert done.stdout.startswith("[red]p.py  k = 3")


def assert_refused(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.isprintable()
    assert expected in line


def test_a_path_with_control_characters(gradcheck: Command, tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    (folder / "problem.py").write_text(PROBLEM + "''")
    assert_refused(gradcheck("run", folder / "nope.py"), "no such file")
    done = gradcheck("run", folder / "problem.py", "-b", "right", "--report", folder / "report.txt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("\n", "").isprintable()
    assert (folder / "report.txt").read_text().replace("\n", "").isprintable()


def test_a_path_that_is_not_utf_8(gradcheck: Command, tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    (folder / "problem.py").write_text(PROBLEM + "''")
    assert_refused(gradcheck("run", folder / "problem.py"), r"caf\udce9/problem.py: bytes that are not UTF-8: expected")
    assert_refused(
        gradcheck("run", "-b", f"exec:{folder}/program"), "bytes that are not UTF-8: expected NAME, NAME==VERSION"
    )
    (tmp_path / "link.py").symlink_to(folder / "problem.py")
    assert_refused(gradcheck("run", "link.py"), r"caf\udce9/problem.py is not UTF-8: expected a path in UTF-8")


@pytest.mark.parametrize("columns", [1, 9])
def test_narrow_terminals(gradcheck: Command, tmp_path: Path, columns: int) -> None:
    (tmp_path / "problem.py").write_text(PROBLEM + "''")
    done = gradcheck("run", "problem.py", "-b", "right", "-b", "raising", COLUMNS=str(columns))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr.replace("raising: Traceback", "")
    assert "again: gradcheck run problem.py --k 3" in done.stdout


@pytest.mark.parametrize("seeds", ["0", "0:2"])
def test_tables_on_a_narrow_terminal(gradcheck: Command, seeds: str) -> None:
    done = gradcheck("run", "mlp", "-b", "numpy", "--seed", seeds, COLUMNS="1")
    assert done.returncode == 0, done.stderr


def test_listed_names(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(f"__doc__ = {HOSTILE!r}\n{PROBLEM}''")
    done = gradcheck("problems", "show", "problem.py")
    assert done.returncode == 0
    assert_shown(done, SHOWN.partition(r"\n")[0])
