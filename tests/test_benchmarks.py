"""The benchmarks in their small form: each table has content, and shows the same as the full one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ratios import RECORDED, works

ROOT = Path(__file__).parent.parent
PROBLEMS = ROOT / "gradcheck" / "problems" / "shipped"
PEERS = ("torch gradcheck, fast", "torch gradcheck, slow", "numpy.allclose", "torch assert_close")
# Correct backends have this error too, if they compute a value again in another order (docs/math.md, W8).
AS_SMALL_AS_ROUNDING = {
    "float64, K = 4": ("2⁻⁴⁸",),
    "float32, K = 4": ("6 decimals", "2⁻¹⁹"),
    "float32, K = 64": ("decimals", "2⁻¹⁹"),
}
OURS = ("this tool", "proofs alone", "no watched values")
Rows = list[dict[str, Any]]


def measured(name: str, folder: Path, *options: str) -> dict[str, Rows]:
    """Runs a benchmark as its user does, with real engines; the rows of its tables by title."""
    output = folder / "tables.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *(options or ["--small"]), "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    tables = {table["title"]: table["rows"] for table in json.loads(output.read_text())["tables"]}
    assert all(title in done.stdout for title in tables)
    return tables


def rows_of(tables: dict[str, Rows], start: str) -> Rows:
    """The rows of the one table whose title begins so."""
    [rows] = (rows for title, rows in tables.items() if title.startswith(start))
    return rows


@pytest.fixture(scope="module")
def detection(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    return measured("detection", tmp_path_factory.mktemp("detection"))


@pytest.fixture(scope="module")
def false_alarms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    return measured("false_alarms", tmp_path_factory.mktemp("false_alarms"))


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    return measured("cost", tmp_path_factory.mktemp("cost"))


def test_detection_has_rates_and_every_checker_finds_and_misses(detection: dict[str, Rows]) -> None:
    assert all(
        0 <= cell <= 100 for rows in detection.values() for row in rows for cell in list(row.values())[1:] if cell
    )
    rows = rows_of(detection, "Planted bugs found, % of cases: float64")
    assert all(row[name] is not None for row in rows for name in (*OURS, *PEERS))
    for name in PEERS:
        assert {0, 100} <= {row[name] for row in rows}, name


def test_every_planted_bug_is_found_and_no_legitimate_variant_refused(detection: dict[str, Rows]) -> None:
    for title, rows in detection.items():
        for row in rows:
            is_right = "Legitimate" in title or "legitimate" in row["planted"]
            if is_right or not any(
                words in row["planted"] for words in AS_SMALL_AS_ROUNDING[title.rpartition(": ")[2]]
            ):
                assert row["this tool"] == (0 if is_right else 100), (title, row)


@pytest.mark.parametrize(
    ("planted", "missing"),
    [
        ("dC: one entry off by 2⁻³⁰", PEERS),
        ("dw: rounded to 6 decimals", PEERS[:2]),
        ("dz: float32 product", PEERS[:2]),
        ("loss: float32 sum", PEERS[2:]),
    ],
)
def test_errors_that_peers_miss_are_found(detection: dict[str, Rows], planted: str, missing: tuple[str, ...]) -> None:
    [row] = (row for row in rows_of(detection, "Planted bugs found, % of cases: float64") if row["planted"] == planted)
    assert {name: row[name] for name in missing} == dict.fromkeys(missing, 0)
    assert row["this tool"] == row["right step named"] == 100


def test_correct_float32_gradients_are_refused_by_finite_differences(detection: dict[str, Rows]) -> None:
    rows = rows_of(detection, "Legitimate variants refused, % of 1 cases: float32, K = 4")
    assert len(rows) >= 10
    assert all(row["torch gradcheck, slow"] == 100 for row in rows)


def test_no_correct_answer_is_refused(false_alarms: dict[str, Rows]) -> None:
    *rows, total = rows_of(false_alarms, "False alarms")
    assert {(row["engine"], row["dtype"]) for row in rows} == {
        (engine, dtype) for engine in ("numpy", "torch", "mxnet") for dtype in ("float64", "float32")
    }
    assert all(row["cases"] == 27 and row["entries"] > 5000 for row in rows)
    assert total["entries"] == sum(row["entries"] for row in rows)
    assert total["false alarms"] == total["undecided"] == 0
    assert rows_of(false_alarms, "Commands") == []


def test_ratios_come_from_real_errors(false_alarms: dict[str, Rows]) -> None:
    *rows, total = rows_of(false_alarms, "False alarms")
    for way in ("end to end", "by step"):
        assert all(0.1 < row[f"largest e/s {way}"] < 16 for row in rows)
        assert all(0.01 < row[f"largest e/bound {way}"] <= 1 + 1e-9 for row in rows)
        for unit in ("e/s", "e/bound"):
            bins = [row["entries"] for row in rows_of(false_alarms, f"{unit} {way}")]
            assert sum(bins) == total["entries"]
            assert sum(count > 0 for count in bins) > 5


def test_random_losses_are_judged_correctly(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """No enclosure misses the truth, no correct answer is refused, no promise of power is broken."""
    options = ["--losses", "1000", "--answers", "400", "--narrow", "100", "--first", "20000"]
    thorough = request.config.getoption("--thorough")
    tables = measured("random_losses", tmp_path, *(options if thorough else []))
    enclosures, answers, planted = (rows_of(tables, start) for start in ("Enclosures", "Correct", "Errors planted"))
    assert rows_of(tables, "To look into") == []
    assert {row["dtype"] for row in enclosures} == {"float64", "float32", "float16", "bfloat16"}
    assert all(row["entries"] > 300 and row["missed"] == 0 for row in enclosures)
    assert {row["backend"] for row in answers} == {"by hand", "torch", "autograd"}
    assert all(row["false alarms"] == 0 and row["undecided"] < row["answers"] / 2 for row in answers)
    assert all(row["undecided"] < row["answers"] / 8 for row in answers if row["dtype"] in ("float64", "float32"))
    assert all(row["missed"] == 0 and row["step right"] == row["named"] > 0 for row in planted)
    assert all(row["beyond power"] > 10 for row in planted if row["dtype"] in ("float64", "float32"))


def test_every_shipped_problem_agrees(tmp_path: Path) -> None:
    tables = measured("problems", tmp_path)
    *rows, total = rows_of(tables, "Shipped problems")
    assert [row["problem"] for row in rows] == [path.stem for path in sorted(PROBLEMS.glob("[!_]*.py"))]
    assert all(row["answers"] == row["agree"] >= 6 and row["minutes"] > 0 for row in rows)
    assert total["answers"] == total["agree"] == sum(row["answers"] for row in rows)
    assert total["differ"] == total["undecided"] == total["no answer"] == 0
    assert rows_of(tables, "Why") == rows_of(tables, "Commands") == []


def test_costs_are_measured(cost: dict[str, Rows]) -> None:
    passes, beside, alone, small, models, device = cost.values()
    assert [(row["dtype"], row["K"]) for row in passes] == [(d, k) for d in ("float32", "float64") for k in (64, 256)]
    assert all(row["this / passes"] > 0 for row in passes)
    assert [row["K"] for row in beside] == [8, 16, 32]
    assert all(0 < row["this check"] < row["gradcheck, slow"] for row in beside[1:])
    assert all(row["gradcheck, fast"] > 0 and row["fast passes"] == row["slow passes"] == "yes" for row in beside)
    assert all(row["check_grads of JAX"] > 0 for row in beside)
    assert {row["dtype"] for row in alone} == {"float32", "float64"}
    assert all(row["seconds"] > 0 and row["in units of the three matrices"] > 0 for row in alone)
    assert 0 < small[0]["milliseconds"] < 1000
    titles = ["gpt2_block", "residual_block", "recurrent network, 20 steps of width 8"]
    assert [(row["model"], row["dtype"]) for row in models] == [(t, d) for d in ("float64", "float32") for t in titles]
    assert all(row["verdict"] == "agrees" and row["seconds"] > 0 < row["this / passes"] for row in models)
    assert device[0]["device"] in ("there is no GPU: skipped", "cuda")


def test_a_cost_that_has_grown_by_half_is_found(tmp_path: Path) -> None:
    recorded = json.loads(RECORDED.read_text())
    assert list(recorded) == list(works(tmp_path)), "each work has a recorded ratio"
    work = "--help / import click"
    for factor, code in ((1.0, 0), (0.5, 1)):
        (tmp_path / "ratios.json").write_text(json.dumps({work: recorded[work] * factor}))
        command = [sys.executable, "-m", "benchmarks.ratios", "--only=--help", str(tmp_path / "ratios.json")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == code, done.stderr
        assert work in done.stdout
    assert done.stderr.startswith(f"Error: {work}: more than 1.5 times the ratio in ratios.json: expected a check")


def test_the_costs_of_long_losses_are_measured(tmp_path: Path) -> None:
    recurrent, chain = measured("lengths", tmp_path).values()
    assert [row["steps"] for row in recurrent] == [50, 100]
    assert recurrent[1]["KiB for each step"] < 1.2 * recurrent[0]["KiB for each step"]
    assert all(row["recording"] > 0 and row["analysis"] > 0 and row["nodes"] > row["values"] for row in chain)


def test_the_cost_of_watching_every_step_is_measured(tmp_path: Path) -> None:
    rows = rows_of(measured("watching", tmp_path), "Milliseconds for each check")
    assert [row["backend"] for row in rows] == ["numpy", "torch"] * 3
    assert [(row["named"], row["all"]) for row in rows[::2]] == [(5, 6), (5, 6), (0, 20 * 5 + 1)]
    assert all(row["named, ms"] > 0 and row["all / named"] > 0.2 for row in rows)
    assert rows[-1]["all, ms"] > rows[-1]["named, ms"]


def test_the_time_and_memory_of_each_stage_are_measured(tmp_path: Path) -> None:
    times, memory = measured("profile", tmp_path).values()
    problems = ["sigmoid_skip"] * 4 + ["gpt2_block"] * 2 + ["residual_block"] * 2
    assert [row["problem"] for row in times] == [row["problem"] for row in memory] == problems
    # Of all rows together: a sample is taken every few milliseconds, and a small check has few of them.
    total = sum(row["all"] for row in times)
    for stage in ("walk", "steps", "comparison", "recording", "report"):
        assert 0.005 < sum(row[stage] for row in times) / total < 0.8, times
    assert all(0.1 < row["all"] < 100 for row in memory)
    assert all(row["walk"] <= row["all"] for row in memory)


def kernels_by_planted(tables: dict[str, Rows], framework: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of a framework; this tool finds every mistake in float64, and refuses nothing that is correct."""
    rows = {(row["dtype"], row["planted"]): row for row in rows_of(tables, f"{framework}. Kernels refused")}
    assert len(rows) == 2 * 5
    for (dtype, planted), row in rows.items():
        is_right = planted == "correct"
        assert row["undecided"] == 0
        if dtype == "float64" or is_right:
            assert row["cases"] == 1
            assert row["this tool"] == (0 if is_right else 1), row
    assert rows_of(tables, f"{framework}. No verdict") == []
    milliseconds = rows_of(tables, f"{framework}. Median")
    assert all(cell > 0 for row in milliseconds for cell in list(row.values())[1:] if cell is not None)
    return rows


def test_mistakes_in_kernels_are_found_that_the_peers_miss(tmp_path: Path) -> None:
    tables = measured("kernels", tmp_path)
    rows = kernels_by_planted(tables, "PyTorch")
    for planted in ("one entry off by 1e-6 of the largest", "cotangent in a narrower dtype"):
        assert rows["float64", planted]["gradcheck, slow"] == rows["float64", planted]["gradcheck, fast"] == 0
    assert rows["bfloat16", "correct"]["gradcheck, slow"] == 1
    assert rows["bfloat16", "correct"]["twice the error"] == rows["bfloat16", "correct"]["dynamo same"] == 0
    assert (
        rows["bfloat16", "a wrong formula"]["twice the error"] == rows["bfloat16", "a wrong formula"]["this tool"] == 1
    )
    rows = kernels_by_planted(tables, "JAX")
    for planted in ("correct", "one entry off by 1e-6 of the largest", "cotangent in a narrower dtype"):
        assert rows["float64", planted]["check_grads"] == rows["float32", planted]["check_grads"] == 0
    assert rows["float64", "a wrong formula"]["check_grads"] == rows["float32", "a wrong formula"]["check_grads"] == 1


def test_whole_commands_and_warm_checks_are_timed(tmp_path: Path) -> None:
    whole, (warm,) = measured("commands", tmp_path).values()
    assert [row["beside"] for row in whole] == ["import torch", "import numpy", "import click"]
    assert all(0 < row["its seconds"] < row["seconds"] * 2 for row in whole)
    assert warm["checks"] == 20
    assert warm["median, ms"] < 1000 * warm["first, seconds"] / 5


def test_the_rates_of_many_cases_are_measured(tmp_path: Path) -> None:
    tables = measured("sweep", tmp_path)
    for row in rows_of(tables, "Cases a second"):
        assert row["k"] == 3
        ways = ("one at a time", "many", "with a store", "2 processes", "Dask, 2 workers")
        assert all(row[way] > 0 for way in ways), row
    [finished] = rows_of(tables, "A finished store")
    assert finished["cases"] == finished["stored before"] == 500
    assert finished["store, MiB"] > 0
    assert [row["cases"] for row in rows_of(tables, "Largest memory")] == [500]
