"""The matrix: the outcome of each cell, and the unexpected outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck.errors import RequestError
from gradcheck.results import Cell, Verdict
from gradcheck.runs import matrix
from gradcheck.settings import Settings
from tests.conftest import FAKES, Command
from tests.problems.test_shipped import NAMES

EXPECTED = Path(__file__).parents[1] / "docs" / "matrix.txt"
SLOW = "torch-compile"  # it compiles C++ for minutes if its cache is empty
FEW = ("gaussian_mixture", "lstm_cell", "sigmoid_skip")
PLAN = matrix.Plan((), ("float64", "float32"), Settings(timeout=300.0))
FAULTY = FAKES / "faulty.py"


def cell(backend: str, verdict: Verdict, reason: str | None = None, ratio: float | None = 0.0123) -> Cell:
    return Cell(
        problem="mlp", dtype="float32", backend=backend, verdict=verdict, bound_ratio=ratio, reason=reason
    )  # fmt: skip


def test_a_file_of_outcomes_can_be_read_again(tmp_path: Path) -> None:
    found = [
        cell("torch", Verdict.AGREES),
        cell("exec:./my gradient", Verdict.CRASHED, "it exited"),
        cell("mlx", Verdict.UNSUPPORTED, "computes sigmoid in float32", None),
    ]
    path = tmp_path / "outcomes.txt"
    path.write_text("# a comment\n\n" + "".join(matrix.lines([found[0], found[2]], PLAN)))
    assert path.read_text().splitlines()[2:] == [
        "# k = 3, seed 0",
        "mlp float32 mlx unsupported computes sigmoid in float32",
        "mlp float32 torch agrees 1.2e-02",
    ]
    assert matrix.read(path, PLAN) == {
        ("mlp", "float32", "torch"): Verdict.AGREES,
        ("mlp", "float32", "mlx"): Verdict.UNSUPPORTED,
    }


def test_drift_is_a_change_of_verdict_or_an_unknown_cell() -> None:
    expected = {("mlp", "float32", "torch"): Verdict.AGREES, ("mlp", "float32", "mlx"): Verdict.UNSUPPORTED}
    found = [
        cell("torch", Verdict.DIFFERS, "dL/da is proved wrong"),
        cell("mlx", Verdict.UNSUPPORTED, "another reason"),
        cell("jax", Verdict.AGREES),
    ]
    assert list(matrix.drift(found, expected)) == [
        "mlp float32 torch: expected agrees, found differs: dL/da is proved wrong",
        "mlp float32 jax: not in the file, found agrees",
    ]


@pytest.mark.parametrize("line", ["mlp float32 torch", "mlp float32 torch agreed", "mlp float32 torch agree 0.1"])
def test_a_line_that_is_not_an_outcome_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "m.txt").write_text(f"# k = 3, seed 0\n{line}\n")
    with pytest.raises(RequestError, match=r"m\.txt:2: .*expected PROBLEM DTYPE BACKEND VERDICT"):
        matrix.read(tmp_path / "m.txt", PLAN)


def test_outcomes_are_printed_written_and_expected(gradcheck: Command, tmp_path: Path) -> None:
    words = ("matrix", "-b", "manual", "-b", "numpy", "--problem", "mlp", "--problem", "sigmoid_skip", "--k", 2)
    done = gradcheck(*words, "--write", "m.txt")
    assert done.returncode == 0, done.stderr
    title, _, head, *_ = done.stdout.splitlines()
    assert title == "float64: the largest error in units of the bound, or the verdict"
    assert head.split() == ["float64", "mlp", "sigmoid", "skip"]
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
    done = gradcheck("matrix", "--problem", FAULTY, "-b", "right", "-b", "wrong_sign", "--dtype", "float64")
    assert done.returncode == 1
    assert "wrong_sign: differs: dL/db is proved wrong in 9 of 9 entries" in done.stdout
    crashed = gradcheck("matrix", "--problem", FAULTY, "-b", "exits", "--dtype", "float64")
    assert crashed.returncode == 3
    assert "exits: crashed: exited with code 7" in crashed.stdout


def test_only_unsupported_cells_mean_that_no_backend_gave_an_answer(gradcheck: Command) -> None:
    done = gradcheck("matrix", "--problem", "mlp", "-b", "autograd", "--dtype", "bfloat16")
    assert done.returncode == 3, done.stdout
    assert "autograd: unsupported: autograd has derivatives for NumPy's own dtypes alone" in done.stdout


def test_an_unsupported_cell_is_not_a_fault_beside_an_answer(gradcheck: Command) -> None:
    done = gradcheck("matrix", "--problem", "mlp", "-b", "autograd", "--dtype", "bfloat16", "--dtype", "float16")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--problem", "nope"), "problem 'nope': unknown"),
        (("-b", "nope"), "backend 'nope': unknown"),
        (("--dtype", "float63"), "--dtype float63: did you mean 'float64'? expected float64"),
        (("--k", "0"), "--k 0: expected a whole number from 1 to 2^31 - 1"),
        (("--seed", "x"), "--seed x: expected a whole number from 0 to 2^63 - 1"),
        (("--expect", "none.txt"), "'none.txt': "),
        (("--expect", "/dev/zero"), "'/dev/zero': more than 16777216 bytes: expected a file of outcomes"),
        (("--timeout", "nan"), "--timeout nan: expected a number of seconds above 0, at most 1000000"),
        (("--write", "no/m.txt"), "--write 'no/m.txt': no folder 'no': expected a path that can be written"),
    ],
)
def test_a_wrong_request_is_one_line(gradcheck: Command, words: tuple[str, ...], message: str) -> None:
    done = gradcheck("matrix", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_line_without_end_is_shown_in_part(tmp_path: Path) -> None:
    for text in ("a" * 10**6, "# k = 3, seed 0\n" + "a" * 10**6):
        (tmp_path / "m.txt").write_text(text)
        with pytest.raises(RequestError, match=r"a…'") as caught:
            matrix.read(tmp_path / "m.txt", PLAN)
        assert len(str(caught.value)) < 500


def test_code_of_a_problem_ends_with_the_timeout(gradcheck: Command, tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("while True: pass")
    done = gradcheck("matrix", "--problem", "endless.py", "-b", "numpy", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (2, "")
    assert "loading took longer than 0.5 s" in done.stderr


def test_the_committed_outcomes_still_hold(gradcheck: Command, pytestconfig: pytest.Config) -> None:
    """Without --thorough those of a few small problems, since every engine compiles each of them."""
    expected = matrix.read(EXPECTED, PLAN)
    assert {problem for problem, _, _ in expected} == {*NAMES}
    chosen = NAMES if pytestconfig.getoption("--thorough") else FEW
    tried = [(name, backend) for name, _, backend in expected if name in chosen and backend != SLOW]
    names, backends = (dict.fromkeys(each) for each in zip(*tried, strict=True))
    words = [word for name in names for word in ("--problem", name)]
    words += [word for backend in backends for word in ("-b", backend)]
    done = gradcheck("matrix", *words, "--expect", EXPECTED)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = len(tried)
    assert f"{cells} of {cells} outcomes as expected; {len(expected) - cells} others" in done.stdout
