"""Records, inputs, settings and replies with anything wrong in them.

For any content: the exit code is one of README's and never 70, there is no traceback and no control character, no
process and no folder is left, no right gradient is refused, and no answer agrees after a change beyond rounding.

The command runs in this process, and for some examples as it is. CI tries many more (`--thorough`), always the
same ones, so that a change fails for what it does. Look for new ones with `--thorough --random`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradcheck import cli
from gradcheck.cli import _descendants, _signals
from tests.conftest import FAKES, Command
from tests.faults.mutations import VALUES, as_text, damaged, documents

EXIT_CODES = (0, 1, 2, 3, 4)
WITHIN = 2.0**-48
"""Relative: the error that a correct answer to `squares.py` at k = 2 may have is below 8 units of 2⁻⁵³ of its size."""
SQUARES = FAKES / "squares.py"
A, B = [0.75, -1.5], [[0.1, 2.0], [0.0, -3.25]]
GROUPS = ("gradients", "values", "adjoints")
RIGHT: dict[str, Any] = {
    "loss": sum(x * x for x in A) + sum(x * x for row in B for x in row),
    "gradients": {"a": [2 * x for x in A], "b": [[2 * x for x in row] for row in B]},
    "values": {"h": [x * x for x in A]},
    "adjoints": {"h": [1.0, 1.0]},
}

Explore = Callable[..., None]


class Done(NamedTuple):
    """The outcome of a command."""

    code: int
    output: str
    errors: str

    def check(self) -> None:
        """Assertions for every command."""
        assert self.code in EXIT_CODES, self.errors
        text = self.output + self.errors
        assert "Traceback (most recent call last)" not in text, text
        assert text.replace("\n", "").isprintable(), ascii(text)
        if self.code == 2:
            assert self.output == ""
            assert len(self.errors) < 5000
            assert [line for line in self.errors.splitlines() if not line.startswith("gradcheck: ")] == []

    def verdicts(self) -> dict[str, str]:
        """The verdicts in the JSON report, by backend."""
        return {row["spec"]: row["verdict"] for row in json.loads(self.output)["backends"]} if self.output else {}


@pytest.fixture
def explore(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explore]:
    """Runs a check on many examples of a strategy, which leave no process."""
    thorough, others = (request.config.getoption(option) for option in ("--thorough", "--random"))

    def run(check: Callable[..., None], strategy: st.SearchStrategy[Any], few: int = 60, many: int = 1000) -> None:
        limits = settings(
            max_examples=many if thorough else few, derandomize=not others, database=None, deadline=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        limits(given(strategy)(check))()

    # In this process it would adopt leftovers of other tests.
    monkeypatch.setattr(_descendants.DESCENDANTS, "adopt", lambda: None)
    monkeypatch.chdir(tmp_path)
    before = left()
    yield run
    assert left() == before


def left() -> set[object]:
    """The children of this process, and its folders on disk and in memory."""
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    folders = {folder for place in places for folder in place.glob(f"gradcheck-{os.getpid()}-*")}
    return {*psutil.Process().children(recursive=True), *folders}


def command(*words: object) -> Done:
    """Run a command in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = cli._run([str(word) for word in words], _signals.Interrupt())
    return Done(code, output.getvalue(), errors.getvalue())


def agree_within(stated: Any, true: Any, slack: float = 0.0) -> bool:
    """Whether numbers are right, within rounding and possible changes by printing."""
    try:
        got, expected = np.array(stated, np.float64), np.array(true)
    except (ValueError, TypeError, OverflowError):
        return False
    return got.shape == expected.shape and bool((np.abs(got - expected) <= slack + WITHIN * np.abs(expected)).all())


RECORD = {
    "problem": "squares.py",
    "inputs": {"a": A, "b": B},
    "answers": {
        "mine": {"dtype": "float64", **RIGHT},
        "printed": {"dtype": "float64", **RIGHT, "printed": {"decimals": 12}},
    },
}


def assert_record_is_judged(path: Path, record: Any) -> None:
    """Verify a record; an answer that agrees is right, where the inputs are those that it was computed for."""
    done = command("verify", path, "--format", "json")
    done.check()
    command("verify", path).check()
    for name, verdict in done.verdicts().items():
        if verdict == "agrees" and record["inputs"] == RECORD["inputs"]:
            assert_is_right(record["answers"][name])


def assert_is_right(answer: dict[str, Any]) -> None:
    """Fail where a number is further off than rounding explains, or than its print allows."""
    places = (answer.get("printed") or {"decimals": 99}).get("decimals")
    if places is None or answer["dtype"] != "float64":  # the loss of rounded inputs is another one
        return
    slack = 0.5 * 10.0**-places
    assert agree_within(answer["loss"], RIGHT["loss"], slack)
    for group in GROUPS:
        for name, stated in answer.get(group, {}).items():
            assert agree_within(stated, RIGHT[group][name], slack)
    assert set(answer["gradients"]) == {"a", "b"}


def test_the_record_is_right(tmp_path: Path, explore: Explore) -> None:
    write_squares(tmp_path)
    (tmp_path / "record.json").write_bytes(as_text(RECORD))
    assert command("verify", "record.json", "--format", "json").verdicts() == {"mine": "agrees", "printed": "agrees"}


def write_squares(folder: Path) -> None:
    (folder / "squares.py").write_bytes(SQUARES.read_bytes())


def test_records(tmp_path: Path, explore: Explore) -> None:
    write_squares(tmp_path)
    path = tmp_path / "record.json"

    def check(record: Any) -> None:
        path.write_bytes(as_text(record))
        assert_record_is_judged(path, record)

    explore(check, documents(RECORD), few=100)


def test_records_of_damaged_bytes(tmp_path: Path, explore: Explore) -> None:
    write_squares(tmp_path)
    path = tmp_path / "record.json"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            record = json.loads(content)
        except (ValueError, RecursionError):
            record = {"inputs": None}
        assert_record_is_judged(path, record)

    explore(check, damaged(as_text(RECORD)))


def test_archives_of_damaged_bytes(tmp_path: Path, explore: Explore) -> None:
    write_squares(tmp_path)
    arrays = {"problem": "squares.py", "answers/mine/dtype": "float64", "answers/mine/loss": RIGHT["loss"]}
    arrays |= {f"inputs/{name}": array for name, array in RECORD["inputs"].items()}
    arrays |= {f"answers/mine/gradients/{name}": array for name, array in RIGHT["gradients"].items()}
    np.savez(tmp_path / "right.npz", **arrays)

    def check(content: bytes) -> None:
        (tmp_path / "record.npz").write_bytes(content)
        command("verify", "record.npz").check()

    assert command("verify", "right.npz").code == 0
    explore(check, damaged((tmp_path / "right.npz").read_bytes()))


def program(folder: Path, fake: str, name: str) -> str:
    """A fake program under a name, in this interpreter without unneeded imports."""
    path = folder / name
    path.write_text((FAKES / fake).read_text().replace("/usr/bin/env python3", f"{sys.executable} -IS"))
    path.chmod(0o755)
    return f"./{name}"


def array(numbers: Any) -> dict[str, Any]:
    """An array as a part of a reply."""
    as_array = np.array(numbers)
    return {"dtype": "float64", "shape": list(as_array.shape), "data": as_array.ravel().tolist()}


def arrays(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: array(each) for name, each in numbers.items()}


EVALUATED = {
    "loss": array(RIGHT["loss"]),
    **{kind: arrays(RIGHT[kind]) for kind in ("gradients", "values", "adjoints")},
}
SIGNS = {"a": [[1.0, -1.0]], "b": [[[1.0, 0.0], [-1.0, 1.0]]]}
SLOPE = sum(float(np.sum(np.multiply(SIGNS[name], RIGHT["gradients"][name]))) for name in "ab")
WITNESSED = {
    "loss": array(RIGHT["loss"]),
    "gradients": {},
    "slopes": array([SLOPE]),
    "directions": arrays(SIGNS),
    "estimates": {"slopes": array([1e-16])},
}
FROM_WORKERS = {"seconds": 0.1, "again_seconds": 0.1, "varies": [], "mutated": [], "notes": ["a sentence"]}
STARTED = {"version": "1", "python_version": "3", "packages": {"numpy": "2"}, "threads": 1, "seconds": 0.5}


def replies(result: dict[str, Any]) -> list[Any]:
    """The replies of a right program: to `start`, and twice to `evaluate`."""
    evaluated = {"id": "@ID@", "result": result | FROM_WORKERS}
    return [{"id": "@ID@", "result": STARTED}, evaluated, evaluated]


@st.composite
def spoilt_replies(draw: st.DrawFn) -> list[Any]:
    """Replies with an error in one of them, or the same error in both answers."""
    right = replies(draw(st.sampled_from([EVALUATED, WITNESSED])))
    which = draw(st.sampled_from([(0,), (1,), (2,), (1, 2), (1, 2)]))
    spoilt = draw(documents(right[which[0]]))
    return [spoilt if number in which else reply for number, reply in enumerate(right)]


def assert_reply_is_right(reply: Any) -> None:
    """Fail where an array in an answer is further off than rounding explains."""
    result = reply["result"]
    assert agree_within(decoded(result["loss"]), RIGHT["loss"])
    for group in GROUPS:
        for name, stated in result.get(group, {}).items():
            assert agree_within(decoded(stated), RIGHT[group][name])
    if result.get("slopes") is None:
        assert set(result["gradients"]) == {"a", "b"}
        return
    slopes = decoded(result["slopes"])
    products = [
        (decoded(result["directions"][name]) * RIGHT["gradients"][name]).reshape(len(slopes), -1) for name in "ab"
    ]
    terms = np.hstack(products)
    assert (np.abs(slopes - terms.sum(axis=1)) <= WITHIN * np.abs(terms).sum(axis=1)).all()


def decoded(stated: dict[str, Any]) -> np.ndarray:
    return np.array([float(each) for each in stated["data"]], stated["dtype"]).reshape(stated["shape"])


@pytest.fixture
def run_replies(tmp_path: Path) -> Callable[[str, bytes], Done]:
    """Runs a case in a program, or in a worker, whose replies are some bytes."""
    (tmp_path / "inputs.json").write_bytes(as_text(RECORD["inputs"]))
    path = program(tmp_path, "replay.py", "replay")

    def run_with(kind: str, content: bytes) -> Done:
        (tmp_path / "replay.replies").write_bytes(content)
        words = ("run", SQUARES, "--inputs", "inputs.json", "-b", f"{kind}{path}", "--timeout", "30")
        done = command(*words, "--format", "json")
        done.check()
        return done

    return run_with


def lines(replies: list[Any]) -> bytes:
    return b"\n".join(as_text(each) for each in replies)


@pytest.mark.parametrize("kind", ["exec:", "torch@"])
def test_replies(run_replies: Callable[[str, bytes], Done], explore: Explore, kind: str) -> None:
    """Our own worker runs its backend twice by itself, so no request belongs to its second line."""

    def check(replies: list[Any]) -> None:
        if list(run_replies(kind, lines(replies)).verdicts().values()) == ["agrees"]:
            assert_reply_is_right(replies[1])
            if kind == "exec:":
                assert_reply_is_right(replies[2])

    for right in (EVALUATED, WITNESSED):
        assert run_replies(kind, lines(replies(right))).code == 0
    explore(check, spoilt_replies(), few=40)


def test_replies_of_damaged_bytes(run_replies: Callable[[str, bytes], Done], explore: Explore) -> None:
    def check(content: bytes) -> None:
        run_replies("exec:", content)

    explore(check, damaged(lines(replies(EVALUATED))), few=20, many=1000)


SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}


def test_inputs(tmp_path: Path, explore: Explore) -> None:
    """A right gradient is never refused, and one with a wrong factor agrees only if it is nearly zero."""
    words = [
        word for name in ("right", "wrong-factor") for word in ("-b", f"exec:{program(tmp_path, 'replies.py', name)}")
    ]

    def check(drawn: tuple[Any, str]) -> None:
        inputs, dtype = drawn
        (tmp_path / "inputs.json").write_bytes(as_text(inputs))
        done = command("run", SQUARES, *words, "--inputs", "inputs.json", "--dtype", dtype, "--format", "json")
        done.check()
        for name, verdict in done.verdicts().items():
            if name.endswith("right"):
                assert verdict in ("agrees", "undecided"), done.output
            elif verdict == "agrees":
                assert np.abs(np.array(inputs["b"], float)).max() < 2**20 * SMALLEST[dtype]

    assert command("run", SQUARES, *words).code == 1
    explore(check, st.tuples(documents(RECORD["inputs"]), st.sampled_from(list(SMALLEST))), few=40)


GOOD = {
    "problem": ["squares.py"], "k": [1, 2, 3], "seed": [0, 7], "dtype": list(SMALLEST), "backend": [["numpy"]],
    "distribution": ["uniform", "tiny", "zeros", "mixed"], "scale": [1.0, -2.5, 1e-30, 1e30], "timeout": [0.001, 5.0],
    "gate": ["proved", "formula"], "format": ["json", "table"], "report": [["report.json"]], "device": ["cpu", "cuda"],
    "no-build": [True], "show-gradients": [True, False], "details": [True],
    "tf32": [True, False], "watch": ["all"],
    "inputs": ["none.json"],
}  # fmt: skip


@st.composite
def files_of_settings(draw: st.DrawFn) -> bytes:
    """A TOML file with settings, some of them invalid."""
    names = draw(st.lists(st.sampled_from([*GOOD]) | st.text(max_size=8), min_size=1, max_size=4, unique=True))
    stated = [(name, draw(st.sampled_from(GOOD.get(name, [1])) | VALUES)) for name in names]
    text = "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in stated).encode()
    return draw(damaged(text)) if draw(st.booleans()) else text


def test_settings(tmp_path: Path, explore: Explore) -> None:
    """Flags override files here, so that no file names a path to write to, or an engine."""
    right = f"exec:{program(tmp_path, 'replies.py', 'right')}"
    words = ("run", SQUARES, "-b", right, "--k", "2", "--report", "out.json")

    def check(content: bytes) -> None:
        (tmp_path / "odd.toml").write_bytes(content)
        done = command(*words, "--config", "odd.toml")
        done.check()
        assert done.code != 1, done.output

    explore(check, files_of_settings(), few=40)


def test_the_command_as_it_is(gradcheck: Command, tmp_path: Path, explore: Explore) -> None:
    write_squares(tmp_path)

    def check(record: Any) -> None:
        (tmp_path / "record.json").write_bytes(as_text(record))
        done = gradcheck("verify", "record.json")
        process = Done(done.returncode, done.stdout, done.stderr)
        process.check()
        assert process == command("verify", "record.json")

    explore(check, documents(RECORD), few=5, many=100)
