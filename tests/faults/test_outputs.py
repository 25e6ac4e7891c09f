"""Output that fails: the exit code still reports the verdict, and no old report is lost."""

from __future__ import annotations

import json
import os
import resource
import shlex
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gradcheck.errors import RequestError
from gradcheck.system import files
from tests.conftest import Command
from tests.faults.endings import RIGHT

CODES = {"right": 0, "wrong_sign": 1, "raises": 3}
NO_ROOM = "gradcheck: standard output: No space left on device: expected free space to write\n"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which G is gradcheck; it ends with gradcheck's exit code."""
    command = shlex.join([sys.executable, "-m", "gradcheck"])
    return subprocess.run(
        ["bash", "-c", f"G={shlex.quote(command)}; {line}"], capture_output=True, text=True, cwd=folder, timeout=120
    )


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("$G {} | true; exit ${{PIPESTATUS[0]}}", "right"),
        ("$G {} | true; exit ${{PIPESTATUS[0]}}", "wrong_sign"),
        ("$G {} --format json | head -c 1 >&2; exit ${{PIPESTATUS[0]}}", "wrong_sign"),
        ("$G {} >&-", "wrong_sign"),
        ("$G {} <&- >&- 2>&-", "right"),
        ("$G {} 2>/dev/full", "raises"),
        ("$G {} 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}", "raises"),
    ],
)
def test_the_verdict_is_the_exit_code_for_any_reader(tmp_path: Path, line: str, way: str) -> None:
    done = shell(line.format(f"run {RIGHT} -b {way}"), tmp_path)
    assert done.returncode == CODES[way]
    assert done.stderr in ("", "{"), "a closed stream is not an error"


@pytest.mark.parametrize("words", ["schema", "problems", f"run {RIGHT} -b right"])
def test_a_report_without_disk_space_is_reported_in_one_line(tmp_path: Path, words: str) -> None:
    done = shell(f"$G {words} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, NO_ROOM)


def test_an_encoding_that_lacks_a_character_is_not_a_bug(gradcheck: Command) -> None:
    done = gradcheck("run", RIGHT, "-b", "right", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_current_folder_is_reported(tmp_path: Path) -> None:
    done = shell(f"mkdir here; cd here; rmdir ../here; $G run {RIGHT} -b right; exit $?", tmp_path)
    assert done.returncode in (0, 2)
    assert done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr


def test_a_missing_temporary_folder_is_reported(tmp_path: Path) -> None:
    nowhere = "import tempfile; tempfile.tempdir = '/nowhere'; from gradcheck.cli import main; main()"
    command = [sys.executable, "-c", nowhere, "run", RIGHT, "-b", "right"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    expected = "gradcheck: TMPDIR: No such file or directory: expected a folder that can be written\n"
    assert (done.returncode, done.stderr) == (2, expected)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("folder.json", "is a folder"),
        ("none/report.json", "no folder 'none'"),
        ("circle.json", "loop"),
        ("readonly.json", "Permission denied"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(
    gradcheck: Command, tmp_path: Path, path: str, reason: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "circle.json").symlink_to("circle.json")
    (tmp_path / "readonly.json").touch(0o444)
    if reason == "Permission denied" and os.geteuid() == 0:
        pytest.skip("root may write everything")
    done = gradcheck("run", RIGHT, "-b", "hangs", "--report", path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"gradcheck: report '{path}': ")
    assert reason in done.stderr
    assert done.stderr.endswith("expected a path that can be written\n")


def test_a_report_replaces_an_old_one_and_keeps_links_and_permissions(gradcheck: Command, tmp_path: Path) -> None:
    old = tmp_path / "elsewhere" / "old.json"
    old.parent.mkdir()
    old.write_text("old")
    old.chmod(0o640)
    link = tmp_path / "report.json"
    link.symlink_to(old)
    assert gradcheck("run", RIGHT, "-b", "right", "--report", link).returncode == 0
    assert link.is_symlink()
    assert json.loads(old.read_text())["verdict"] == "agree"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert sorted(path.name for path in (*tmp_path.iterdir(), *old.parent.iterdir())) == [
        "elsewhere", "old.json", "report.json",
    ]  # fmt: skip


def test_an_old_report_outlives_a_write_that_fails(tmp_path: Path) -> None:
    old = tmp_path / "report.json"
    old.write_text("old")

    def with_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))

    write = (
        "import sys; from pathlib import Path; from gradcheck.system import files; "
        "files.write(Path(sys.argv[1]), 'x' * 99, 'report')"
    )
    done = subprocess.run(
        [sys.executable, "-c", write, old], capture_output=True, text=True, preexec_fn=with_little_room
    )
    assert f"RequestError: report '{old}': File too large: expected a path that can be written" in done.stderr
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


def test_a_report_goes_into_a_pipe(gradcheck: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "report.json"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert gradcheck("run", RIGHT, "-b", "right", "--report", pipe).returncode == 0
    reader.join(10)
    assert json.loads(read[0])["verdict"] == "agree"
    assert pipe.is_fifo()


def test_outcomes_are_the_same_on_standard_output_and_in_a_file(tmp_path: Path) -> None:
    words = "run mlp -b numpy --write"
    done = shell(f"$G {words} m.txt >/dev/null && $G {words} /dev/stdout > out.txt", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.txt").read_text().endswith((tmp_path / "m.txt").read_text())


def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "report.json", "ä", "report")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o640
    assert (tmp_path / "report.json").read_bytes() == "ä".encode()


def test_a_full_folder_is_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(RequestError, match=r"report '.*': No space left on device: expected a path"):
        files.check_writable(tmp_path / "report.json", "report")
