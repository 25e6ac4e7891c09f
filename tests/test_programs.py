"""Programs in other languages are backends: their answers are judged, and their failures are their verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import jsonschema
import msgspec
import psutil
import pytest

import gradcheck as package
from gradcheck import settings
from gradcheck.execution import pool
from tests.conftest import FAKES, Command

FAULTY = FAKES / "faulty.py"
ROOT = FAKES.parents[1]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
COMPILERS = {"sigmoid_skip.c": ("cc", "-O2", "-lm"), "sigmoid_skip.cpp": ("c++", "-O2", "-std=c++17")}

# The behaviour of a program -> its verdict, and the reason or its beginning.
WAYS = {
    "right": ("agrees", None),
    "timed": ("agrees", None),
    "in-files": ("agrees", None),
    "ignores-stop": ("agrees", None),
    "wrong-shape": ("differs", "dL/db has shape (9,): expected (3, 3)"),
    "missing-gradient": ("differs", "dL/db is missing"),
    "not-a-number": ("differs", "dL/da is proved wrong in 1 of 3 entries"),
    "unsteady": ("differs", "dL/da varies from call to call by"),
    "claims-to-repeat-itself": ("differs", "dL/da varies from call to call by"),
    "estimates-of-nothing": ("differs", "an estimate of c is given: expected estimates of a, b"),
    "slopes-alone": ("differs", "slopes are given: expected a list of them, and an estimate of each"),
    "exits": ("crashed", "exited with code 7, having written 'planted text on standard error'"),
    "garbage": (
        "crashed",
        "answered 'planted garbage', which is not a reply: JSON is malformed: invalid character (byte 0); "
        "write all other text to standard error",
    ),
    "another-id": (
        "crashed",
        'answered \'{"id": 77, "result": {}}\', which is not a reply: the id of the request is 2',
    ),
    "no-gradients": ("crashed", "gave a result of evaluate that is not valid: Object missing required field"),
    "varies-in-nothing": ("crashed", "gave a result of evaluate that is not valid: Invalid enum value 'nothing'"),
    "declares-itself-right": ("crashed", 'answered \'{"id": 2, "error": {"kind": "agrees"'),
    "words": ("crashed", "gave an answer that cannot be read: the array of a: could not convert string to float: 'no'"),
    "integers": (
        "crashed",
        "gave an answer that cannot be read: the array of a: expected floating-point numbers",
    ),
    "half-an-array": ("crashed", "gave an answer that cannot be read: the array of a: no dtype, shape"),
    "deep": ("crashed", 'answered \'{"id": 2, "result": [[[['),
    "no-file": ("crashed", "gave an answer that cannot be read: the array of a: [Errno 2] No such file or directory"),
    "empty-file": ("crashed", "gave an answer that cannot be read: the array of a: "),
    "refuses": ("unsupported", "planted reason"),
    "hangs": ("timed-out", "no answer within 2 s"),
    "hangs-the-second-time": ("timed-out", "no answer within 2 s"),
}


def program(folder: Path, way: str) -> Path:
    """The fake program, in this interpreter, under the name of its behaviour."""
    path = folder / way
    path.write_text((FAKES / "program.py").read_text().replace("/usr/bin/env python3", sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def all_ways(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One command that runs every fake program; it fails if one of their processes is left."""
    folder, mark = tmp_path_factory.mktemp("programs"), uuid.uuid4().hex
    words = [word for way in WAYS for word in ("-b", f"exec:./{program(folder, way).name}")]
    command = [sys.executable, "-m", "gradcheck", "run", str(FAULTY), *words, "--timeout", "2", "--format", "json"]
    environment = os.environ | {"TEST_OF_PROGRAMS": mark}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)
    assert [process for process in psutil.process_iter() if has_mark(process, mark)] == []
    return done


def has_mark(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.environ().get("TEST_OF_PROGRAMS") == mark)
    return False


@pytest.mark.parametrize("way", WAYS)
def test_behaviour_of_a_program_decides_its_verdict(all_ways: subprocess.CompletedProcess[str], way: str) -> None:
    rows = {row["spec"]: row for row in json.loads(all_ways.stdout)["backends"]}
    verdict, reason = WAYS[way]
    row = rows[f"exec:./{way}"]
    assert row["verdict"] == verdict, row["reason"]
    assert (row["reason"] or "").startswith(reason or ""), row["reason"]
    assert all_ways.returncode == 1


def test_a_program_that_returns_its_requests_does_not_speak_the_protocol(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "exec:/bin/cat", COLUMNS="400")
    assert done.returncode == 3
    assert '/bin/cat: crashed: answered with gradcheck\'s own request \'{"id":1,"method":"start"}\': ' in done.stdout
    assert "expected a program that speaks the protocol of docs/protocol.md" in done.stdout


def test_standard_error_of_a_failing_program_is_shown(all_ways: subprocess.CompletedProcess[str]) -> None:
    assert "exec:./exits: planted text on standard error" in all_ways.stderr


def test_a_report_has_null_for_missing_fields_of_a_program(
    gradcheck: Command, all_ways: subprocess.CompletedProcess[str]
) -> None:
    report = json.loads(all_ways.stdout)
    jsonschema.validate(report, json.loads(gradcheck("schema").stdout))
    rows = {row["spec"]: row for row in report["backends"]}
    assert rows["exec:./right"]["seconds"] == {"import": None, "first": None, "again": None}
    assert rows["exec:./timed"]["seconds"] == {"import": None, "first": 0.25, "again": 0.25}
    place = report["environment"]["backends"]["exec:./right"]
    assert place | {"python": None, "python_version": None, "packages": {}, "threads": None} == place


def test_a_path_may_have_spaces_or_begin_at_home_and_the_replay_runs(gradcheck: Command, tmp_path: Path) -> None:
    folder = tmp_path / "with spaces"
    folder.mkdir()
    specs = (f"exec:{program(folder, 'right')}", "exec:with spaces/right", "exec:~/right")
    words = [word for spec in specs for word in ("-b", spec)]
    done = gradcheck("run", FAULTY, *words, HOME=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    again = shlex.split(done.stdout.rpartition("again: ")[2])
    assert again[-6:] == [word for spec in specs for word in ("--backend", spec)]
    assert gradcheck(*again[1:], HOME=str(folder)).returncode == 0


def test_an_invalid_program_is_unavailable_with_what_was_expected(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no program")
    (tmp_path / "senseless").write_text("no program")
    (tmp_path / "senseless").chmod(0o755)
    names = ("nope", "folder/", "text", "senseless", "~nobody-of-this-name/x")
    words = [word for name in names for word in ("-b", f"exec:{name}")]
    done = gradcheck("run", FAULTY, *words, "-b", "right", "--format", "json")
    *rows, right = json.loads(done.stdout)["backends"]
    assert {row["verdict"] for row in rows} == {"unavailable"}
    assert [row["reason"].removeprefix(f"{tmp_path}/") for row in rows] == [
        "nope does not exist: expected an executable file",
        "folder is not a file: expected an executable file",
        "text is not executable: expected an executable file (chmod +x)",
        "senseless: Exec format error: expected a program, or a script whose first line is #!/path/to/interpreter",
        "~nobody-of-this-name/x does not exist: expected an executable file",
    ]
    assert (right["verdict"], done.returncode) == ("agrees", 3)


def test_a_program_without_a_path_is_a_wrong_request(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "exec:")
    assert done.returncode == 2
    assert done.stderr == "gradcheck: backend 'exec:': no program: expected exec:/path/to/program\n"


def test_a_path_in_a_toml_file_is_taken_from_its_folder(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("backend = ['exec:./mine', 'exec:/usr/mine', 'numpy', 'torch==2.13.0']")
    loaded = settings.load({}, str(config), {}, Path("/"))
    assert loaded.backend == (f"exec:{tmp_path}/mine", "exec:/usr/mine", "numpy", "torch==2.13.0")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The examples that can be compiled here."""
    folder, programs = tmp_path_factory.mktemp("examples"), {}
    for source, (compiler, *options) in COMPILERS.items():
        if shutil.which(compiler):
            programs[source] = folder / source.replace(".", "_")
            command = [
                compiler,
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
                programs[source],
                ROOT / "examples" / source,
                *options,
            ]
            subprocess.run(command, check=True)
    return programs


@pytest.fixture(params=COMPILERS)
def example(request: pytest.FixtureRequest, compiled: dict[str, Path]) -> Path:
    if request.param not in compiled:
        pytest.skip(f"there is no {COMPILERS[request.param][0]} here to compile {request.param}")
    return compiled[request.param]


def test_the_examples_agree_with_the_oracle(example: Path) -> None:
    with package.Session() as session:
        for dtype in ("float64", "float32"):
            for k in (1, 3, 17, 64):
                report = session.check("sigmoid_skip", k=k, dtype=dtype, backends=[f"exec:{example}"])
                report.assert_agrees()
                assert len(report.backends[0].errors) == 3
        for problem, dtype, reason in (
            ("sigmoid_skip", "float16", "has float64 and float32 only"),
            ("mlp", "float64", "this program knows sigmoid_skip alone"),
        ):
            (row,) = session.check(problem, dtype=dtype, backends=[f"exec:{example}"]).backends
            assert (row.verdict, reason in (row.reason or "")) == ("unsupported", True)


def test_the_examples_find_the_first_wrong_watched_value(example: Path, tmp_path: Path) -> None:
    """They give every watched value and adjoint: without them a report could not name this value."""
    source = ROOT / "examples" / ("sigmoid_skip.c" if example.name.endswith("_c") else "sigmoid_skip.cpp")
    right, wrong = "exp(-", "exp(-0.999f * " if source.suffix == ".c" else "exp(Real(-0.999) * "
    text = source.read_text()
    assert text.count(right) == 1
    (tmp_path / source.name).write_text(text.replace(right, wrong))
    compiler, *options = COMPILERS[source.name]
    subprocess.run([compiler, "-o", tmp_path / "wrong", tmp_path / source.name, *options], check=True)
    report = package.check("sigmoid_skip", backends=[f"exec:{tmp_path / 'wrong'}"])
    assert report.backends[0].first_wrong is not None
    assert (report.backends[0].first_wrong.kind, report.backends[0].first_wrong.name) == ("value", "u")


def transcript() -> list[tuple[str, str]]:
    """The lines of the session in docs/protocol.md, each with its arrow."""
    session = PROTOCOL.rpartition("## A session")[2]
    lines = re.findall(r"^    ([→←]) (.*(?:\n      .*)*)", session, re.MULTILINE)
    return [(arrow, re.sub(r"\n +", "", line)) for arrow, line in lines]


def test_the_transcript_matches_the_requests_of_gradcheck(gradcheck: Command, tmp_path: Path) -> None:
    lines = transcript()
    replies = [line for arrow, line in lines if arrow == "←"]
    assert len(replies) == 3
    player = tmp_path / "player"
    player.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"replies = {replies!r}\n"
        "with open('heard', 'w', encoding='utf-8') as heard:\n"
        "    for line in sys.stdin:\n"
        "        heard.write(line)\n"
        "        heard.flush()\n"
        "        if '\"stop\"' in line: break\n"
        "        print(replies.pop(0), flush=True)\n"
    )
    player.chmod(0o755)
    inputs = json.loads(lines[2][1])["inputs"]
    nested = {name: to_lists(array["data"], array["shape"]) for name, array in inputs.items()}
    (tmp_path / "inputs.json").write_text(json.dumps(nested))
    done = gradcheck("run", "--k", 2, "--inputs", "inputs.json", "-b", "exec:./player")
    assert done.returncode == 0, done.stdout + done.stderr
    heard = re.sub(r'"/[^"]*/([^"/]+)"', r'"/…/\1"', (tmp_path / "heard").read_text())
    heard = re.sub(r'"graph":{.*}}}$', '"graph":"…"}', heard, flags=re.MULTILINE)
    assert heard.splitlines() == [line for arrow, line in lines if arrow == "→"]


def to_lists(entries: list[float], shape: list[int]) -> list[object]:
    return list(entries) if len(shape) == 1 else [entries[i : i + shape[1]] for i in range(0, len(entries), shape[1])]


def test_the_transcript_matches_the_replies_of_the_examples(example: Path) -> None:
    lines = transcript()
    requests = "".join(f"{line}\n" for arrow, line in lines if arrow == "→")
    done = subprocess.run([example], input=requests, capture_output=True, text=True, check=True, timeout=10)
    assert done.stdout.splitlines() == [line for arrow, line in lines if arrow == "←"]


def test_every_key_of_an_answer_is_documented() -> None:
    fields = (*msgspec.structs.fields(pool.StartMessage), *msgspec.structs.fields(pool.AnswerMessage))
    assert [field.encode_name for field in fields if f"`{field.encode_name}`" not in PROTOCOL] == []
