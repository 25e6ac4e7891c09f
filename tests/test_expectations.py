"""Files of outcomes: what each problem, dtype and backend gave, and the unexpected outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.errors import RequestError
from gradcheck.outcomes import Row
from gradcheck.results import Verdict
from gradcheck.runs import expectations
from tests.conftest import FAKES, Command
from tests.problems.test_shipped import NAMES

EXPECTED = Path(__file__).parents[1] / "docs" / "matrix.txt"
SLOW = "torch-compile"  # it compiles C++ for minutes if its cache is empty
FEW = ("lstm_cell", "sigmoid_skip")
MORE = (*FEW, "gaussian_mixture")
HEADER = "# k = 3, seed 0"
BOTH = ("--dtype", "float64,float32")
FAULTY = FAKES / "faulty.py"


def row(backend: str, verdict: Verdict, reason: str | None = None, ratio: float | None = 0.0123) -> Row:
    return Row(
        problem="mlp", dtype="float32", backend=backend, cases=1, verdicts={verdict: 1}, bound_ratio=ratio,
        reason=reason, seconds=0.0,
    )  # fmt: skip


def test_a_file_of_outcomes_can_be_read_again(tmp_path: Path) -> None:
    found = [
        row("torch", Verdict.AGREES),
        row("exec:./my gradient", Verdict.CRASHED, "it exited"),
        row("mlx", Verdict.UNSUPPORTED, "computes sigmoid in float32", None),
    ]
    path = tmp_path / "outcomes.txt"
    path.write_text("# a comment\n\n" + "".join(expectations.lines([found[0], found[2]], HEADER)))
    assert path.read_text().splitlines()[2:] == [
        "# k = 3, seed 0",
        "mlp float32 mlx unsupported computes sigmoid in float32",
        "mlp float32 torch agrees 1.2e-02",
    ]
    assert expectations.read(path, HEADER) == {
        ("mlp", "float32", "torch"): Verdict.AGREES,
        ("mlp", "float32", "mlx"): Verdict.UNSUPPORTED,
    }


def test_drift_is_a_change_of_verdict_or_an_unknown_cell() -> None:
    expected = {("mlp", "float32", "torch"): Verdict.AGREES, ("mlp", "float32", "mlx"): Verdict.UNSUPPORTED}
    found = [
        row("torch", Verdict.DIFFERS, "dL/da is proved wrong"),
        row("mlx", Verdict.UNSUPPORTED, "another reason"),
        row("jax", Verdict.AGREES),
    ]
    assert list(expectations.drift(found, expected)) == [
        "mlp float32 torch: expected agrees, found differs: dL/da is proved wrong",
        "mlp float32 jax: not in the file, found agrees",
    ]


@pytest.mark.parametrize("line", ["mlp float32 torch", "mlp float32 torch agreed", "mlp float32 torch agree 0.1"])
def test_a_line_that_is_not_an_outcome_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "m.txt").write_text(f"# k = 3, seed 0\n{line}\n")
    with pytest.raises(RequestError, match=r"m\.txt:2: .*expected PROBLEM DTYPE BACKEND VERDICT"):
        expectations.read(tmp_path / "m.txt", HEADER)


def test_outcomes_are_printed_written_and_expected(gradcheck: Command, tmp_path: Path) -> None:
    words = ("run", "mlp", "sigmoid_skip", "-b", "manual", "-b", "numpy", *BOTH, "--k", 2)
    done = gradcheck(*words, "--write", "m.txt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "mlp,sigmoid_skip  k = 2  seed 0  float64,float32  uniform"
    written = (tmp_path / "m.txt").read_text()
    assert written.splitlines()[0] == "# k = 2, seed 0"
    assert [line.split()[:4] for line in written.splitlines()[1:]] == [
        [problem, dtype, backend, "agrees"]
        for problem, backends in (("mlp", ["numpy"]), ("sigmoid_skip", ["manual", "numpy"]))
        for dtype in ("float32", "float64")
        for backend in backends
    ], "manual is no gradient of mlp: it has no cell there"
    again = gradcheck(*words, "--expect", "m.txt")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (
        0,
        "6 of 6 outcomes as expected; 0 others in m.txt not run",
    )
    (tmp_path / "m.txt").write_text(written.replace("mlp float64 numpy agrees", "mlp float64 numpy differs"))
    drifted = gradcheck(*words, "--expect", "m.txt")
    assert drifted.returncode == 1
    assert drifted.stdout.splitlines()[-2:] == [
        "mlp float64 numpy: expected differs, found agrees",
        "5 of 6 outcomes as expected; 0 others in m.txt not run",
    ]
    other = gradcheck(*words[:-1], 4, "--expect", "m.txt")
    assert other.returncode == 2
    assert "begins with '# k = 2, seed 0': expected outcomes of this run's size and seed" in other.stderr


def test_differences_and_crashes_are_shown_with_their_reasons(gradcheck: Command) -> None:
    done = gradcheck("run", FAULTY, "-b", "right", "-b", "wrong_sign", "--seed", "0:2")
    assert done.returncode == 1
    assert "wrong_sign: differs: dL/db is proved wrong (2 cases)" in done.stdout
    crashed = gradcheck("run", FAULTY, "-b", "exits", "--seed", "0:2")
    assert crashed.returncode == 3
    assert "exits: crashed: exited with code 7 (2 cases)" in crashed.stdout


def test_only_unsupported_cases_mean_that_no_backend_gave_an_answer(gradcheck: Command) -> None:
    done = gradcheck("run", "mlp", "-b", "autograd", "--dtype", "bfloat16", "--seed", "0,1")
    assert done.returncode == 3, done.stdout
    assert "autograd: unsupported: autograd has derivatives for NumPy's own dtypes alone" in done.stdout


def test_an_unsupported_case_is_not_a_fault_beside_an_answer(gradcheck: Command) -> None:
    done = gradcheck("run", "mlp", "-b", "autograd", "--dtype", "bfloat16,float16")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mlp", "nope"), "problem 'nope': unknown"),
        (("-b", "nope", "--seed", "0:2"), "backend 'nope': unknown"),
        (("--dtype", "float32,float63"), "--dtype float32,float63: 'float63': did you mean 'float64'? expected"),
        (("--k", "0:3"), "--k 0:3: 0: expected a whole number from 1 to 2^31 - 1"),
        (("--seed", "1,x"), "--seed 1,x: 'x': expected a whole number from 0 to 2^63 - 1"),
        (("--seed", "3:3"), "--seed 3:3: an empty range: expected FIRST:END, which is without END, such as 0:100"),
        (("--k", "all"), "--k all: expected a whole number"),
        (("--expect", "none.txt"), "'none.txt': "),
        (("--expect", "/dev/zero"), "'/dev/zero': more than 16777216 bytes: expected a file of outcomes"),
        (("--timeout", "nan"), "--timeout nan: expected a number of seconds above 0, at most 1000000"),
        (("--write", "no/m.txt"), "--write 'no/m.txt': no folder 'no': expected a path that can be written"),
    ],
)
def test_a_wrong_request_is_one_line(gradcheck: Command, words: tuple[str, ...], message: str) -> None:
    done = gradcheck("run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_line_without_end_is_shown_in_part(tmp_path: Path) -> None:
    for text in ("a" * 10**6, "# k = 3, seed 0\n" + "a" * 10**6):
        (tmp_path / "m.txt").write_text(text)
        with pytest.raises(RequestError, match=r"a…'") as caught:
            expectations.read(tmp_path / "m.txt", HEADER)
        assert len(str(caught.value)) < 500


def test_code_of_a_problem_ends_with_the_timeout(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("while True: pass")
    done = gradcheck("run", "endless.py", "-b", "numpy", "--timeout", "0.5", "--seed", "0:2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "loading took longer than 0.5 s" in done.stderr


def test_the_committed_outcomes_still_hold(gradcheck: Command, pytestconfig: pytest.Config) -> None:
    """Those of a few small problems, since every engine compiles each of them; with --every-case of all."""
    expected = expectations.read(EXPECTED, HEADER)
    assert {problem for problem, _, _ in expected} == {*NAMES}
    option = pytestconfig.getoption
    chosen = NAMES if option("--every-case") else MORE if option("--thorough") else FEW
    tried = [(name, backend) for name, _, backend in expected if name in chosen and backend != SLOW]
    names, backends = (dict.fromkeys(each) for each in zip(*tried, strict=True))
    words = [word for backend in backends for word in ("-b", backend)]
    done = gradcheck("run", *names, *words, *BOTH, "--timeout", 300, "--expect", EXPECTED)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = len(tried)
    assert f"{rows} of {rows} outcomes as expected; {len(expected) - rows} others" in done.stdout
