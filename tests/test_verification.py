"""`gradcheck verify`: the notebook's recorded run as a golden test, the forms of a record, and malformed ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck import oracle, problems
from gradcheck.oracle import Format, analyse
from tests import recorded as tapes
from tests.conftest import Command
from tests.planted import BUGS

NOTEBOOK = Path(__file__).parent / "data" / "notebook" / "record.json"
ALTERED = (1, 2)
"""Where a digit of the printed dL/dB was altered after the run: see the README beside the record."""


def notebook() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text())


def verified(gradcheck: Command, path: Path | str, exit_code: int, *words: str) -> dict[str, dict[str, Any]]:
    """The backends of the report, by name."""
    done = gradcheck("verify", path, "--format", "json", *words)
    assert done.returncode == exit_code, done.stderr
    return {backend["name"]: backend for backend in json.loads(done.stdout)["backends"]}


def flat(nested: Mapping[str, Any], folder: str = "") -> dict[str, np.ndarray]:
    """The arrays of a .npz file: their keys are paths."""
    arrays = {}
    for name, value in nested.items():
        path = f"{folder}{name}"
        arrays |= flat(value, f"{path}/") if isinstance(value, dict) else {path: np.array(value)}
    return arrays


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A changed copy of the notebook's record, in its own file."""
    record = notebook()
    change(record)
    path = folder / "record.json"
    path.write_text(json.dumps(record))
    return path


def alone(name: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    """Leaves one answer in a record, with some of its fields changed."""

    def change(record: dict[str, Any]) -> None:
        record["answers"] = {name: record["answers"][name] | changes}

    return change


def test_the_notebooks_run(gradcheck: Command) -> None:
    manual, torch, mxnet = verified(gradcheck, NOTEBOOK, 1).values()
    assert (manual["verdict"], manual["evidence"]) == ("differs", "proved")
    assert (manual["first_wrong"]["kind"], manual["first_wrong"]["name"]) == ("adjoint", "z")
    assert {
        name: (error["bad_entries"], error["entries"]) for name, error in manual["errors"].items()
    } == dict.fromkeys("ABC", (9, 9))
    assert [f"{manual['errors'][name]['max_abs']:.1e}" for name in "ABC"] == ["6.8e-06", "2.8e-05", "3.6e-05"]
    assert manual["loss_error"] < 2e-16
    for engine in (torch, mxnet):
        assert engine["verdict"] == "agrees"
        assert engine["wrong_steps"] == []


def test_the_notebooks_altered_entry_is_a_wrong_step_of_its_own(gradcheck: Command) -> None:
    """dL/dB follows from the run's own dL/dz except for one entry."""
    steps = {(step["kind"], step["name"]): step for step in verified(gradcheck, NOTEBOOK, 1)["manual"]["wrong_steps"]}
    altered = steps["gradient", "B"]
    assert (altered["bad_entries"], altered["entries"]) == (1, 9)
    assert tuple(altered["index"]) == ALTERED
    assert f"{altered['got'] - altered['true']:.6e}" == "1.000000e-06"
    # dL/dw is not in the record: dL/dC is where its rounding shows again.
    assert steps["gradient", "C"]["bad_entries"] == 9
    # The inputs were recovered from printed figures: one product with x comes out a unit in the last place off.
    assert abs(steps["gradient", "A"]["got"] - steps["gradient", "A"]["true"]) < 1e-17
    assert set(steps) == {("adjoint", "z"), *(("gradient", name) for name in "ABC")}


def test_the_notebooks_altered_entry_is_in_the_table(gradcheck: Command) -> None:
    done = gradcheck("verify", NOTEBOOK)
    assert done.returncode == 1
    assert "also wrong: dL/dB[1][2] = 0.1901576 off by 1.0e-06, bound 4.2e-17, in 1 of 9" in done.stdout
    assert "first wrong: dL/dz[" in done.stdout
    assert '      loss at: sigmoid_skip.py:19  z = ops.watch("z", u + v)\n' in done.stdout


def rounded(ops: Any, A: Any, B: Any, C: Any, x: Any, dw: Any) -> Any:
    """The scalar dw·w, whose gradients are those of the notebook once dL/dw is rounded to `dw`."""
    y = ops.watch("y", A @ x)
    z = ops.watch("z", ops.sigmoid(y) + B @ x)
    return ops.sum(dw * (C @ z))


def test_rounding_to_4_decimals_makes_every_other_number_of_the_notebook() -> None:
    """Two correct programs, each within its worst error of the truth, lie within twice of that from one another."""
    record = notebook()
    [rounding] = (bug for bug in BUGS if str(bug) == "dw: rounded to 4 decimals")
    inputs = {name: np.array(values) for name, values in record["inputs"].items()}
    made = rounding.answer(inputs)
    printed = record["answers"]["manual"]
    assert made.adjoints["w"].tolist() == [1.6335, 1.9306, -0.5093]
    exact = problems.load("sigmoid_skip")
    loss = analyse(tapes.record_tape(exact, 3), inputs, Format.of("float64"))["loss", None]
    assert abs(made.loss - printed["loss"]) <= 2 * loss.worst
    tape = oracle.record(rounded, {**exact.shapes(3), "dw": (3,)}, exact.wrt)
    truth = analyse(tape, {**inputs, "dw": made.adjoints["w"]}, Format.of("float64"))
    for kind, arrays in (("gradient", made.gradients), ("adjoint", made.adjoints)):
        for name, values in printed[f"{kind}s"].items():
            error = np.abs(arrays[name] - np.array(values))
            if (kind, name) == ("gradient", "B"):
                assert f"{error[ALTERED]:.6e}" == "1.000000e-06"
                error[ALTERED] = 0
            assert np.all(error <= 2 * truth[kind, name].worst), (kind, name)
            assert np.all(truth[kind, name].worst <= 16 * 2.0**-52), (kind, name)


def test_a_npz_file_is_the_same_record(gradcheck: Command, tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    np.savez(path, **flat(notebook()))
    assert verified(gradcheck, path, 1) == verified(gradcheck, NOTEBOOK, 1)


def test_correct_answers_alone_agree(gradcheck: Command, tmp_path: Path) -> None:
    def without_manual(record: dict[str, Any]) -> None:
        del record["answers"]["manual"]

    backends = verified(gradcheck, written(tmp_path, without_manual), 0)
    assert [backend["verdict"] for backend in backends.values()] == ["agrees", "agrees"]


@pytest.mark.parametrize("name", ["torch", "mxnet"])
def test_rounding_for_print_must_be_stated(gradcheck: Command, tmp_path: Path, name: str) -> None:
    """Four decimals are no float32 gradient; MXNet's 8 digits are one, printed or not."""
    path = written(tmp_path, alone(name, printed=None))
    expected = {"torch": "differs", "mxnet": "agrees"}[name]
    assert verified(gradcheck, path, int(expected == "differs"))[name]["verdict"] == expected


def test_more_places_than_were_printed_are_not_forgiven(gradcheck: Command, tmp_path: Path) -> None:
    path = written(tmp_path, alone("torch", printed={"decimals": 5}))
    assert verified(gradcheck, path, 1)["torch"]["verdict"] == "differs"


def test_a_missing_gradient_is_not_an_agreement(gradcheck: Command, tmp_path: Path) -> None:
    gradients = notebook()["answers"]["torch"]["gradients"]
    del gradients["B"]
    path = written(tmp_path, alone("torch", gradients=gradients))
    torch = verified(gradcheck, path, 1)["torch"]
    assert (torch["verdict"], torch["reason"]) == ("differs", "dL/dB is missing")


@pytest.mark.parametrize("wrong", [[[1.0, 2.0, 3.0]], "NaN"])
def test_a_gradient_of_another_shape_or_none_is_not_an_agreement(
    gradcheck: Command, tmp_path: Path, wrong: Any
) -> None:
    gradients = notebook()["answers"]["torch"]["gradients"] | {"B": wrong}
    torch = verified(gradcheck, written(tmp_path, alone("torch", gradients=gradients)), 1)["torch"]
    assert torch["verdict"] == "differs"
    assert torch["reason"].startswith("dL/dB has shape")


def test_a_number_that_is_not_finite_is_not_an_agreement(gradcheck: Command, tmp_path: Path) -> None:
    gradients = notebook()["answers"]["torch"]["gradients"]
    gradients["B"][0][1] = "NaN"
    torch = verified(gradcheck, written(tmp_path, alone("torch", gradients=gradients)), 1)["torch"]
    assert torch["verdict"] == "differs"
    assert torch["errors"]["B"]["bad_entries"] == 1
    assert torch["errors"]["B"]["worst_index"] == [0, 1]


def test_a_value_that_is_not_watched_is_named(gradcheck: Command, tmp_path: Path) -> None:
    path = written(tmp_path, alone("torch", adjoints={"q": [1.0, 2.0, 3.0]}))
    torch = verified(gradcheck, path, 1)["torch"]
    assert torch["reason"] == (
        "dL/dq is given: q is neither an input nor a watched value: "
        "expected gradients of A, B, C, and optionally of y, u, v, z, w"
    )


def test_the_first_record_that_differs_decides(gradcheck: Command, tmp_path: Path) -> None:
    good = written(tmp_path, alone("mxnet"))
    assert gradcheck("verify", good).returncode == 0
    assert gradcheck("verify", good, NOTEBOOK).returncode == 1


def test_the_gate_of_proofs_keeps_what_is_proved(gradcheck: Command) -> None:
    backends = verified(gradcheck, NOTEBOOK, 1, "--gate", "proved")
    assert [backend["verdict"] for backend in backends.values()] == ["differs", "agrees", "agrees"]


def test_a_problem_is_found_beside_its_record(gradcheck: Command, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "square.py").write_text(
        '"""A square."""\n\ndef inputs(k):\n    return {"x": (k,)}\n\ndef loss(ops, x):\n    return ops.sum(x * x)\n'
    )
    answers = {
        "right": {"dtype": "float64", "loss": 5, "gradients": {"x": [2, 4]}},
        "wrong": {"dtype": "float64", "loss": 5, "gradients": {"x": [2, 4.0000001]}},
    }
    record = {"problem": "square.py", "inputs": {"x": [1, 2]}, "answers": answers}
    (folder / "record.json").write_text(json.dumps(record))
    backends = verified(gradcheck, "elsewhere/record.json", 1)
    assert {name: backend["verdict"] for name, backend in backends.items()} == {"right": "agrees", "wrong": "differs"}


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    """Leaves out what is at a path."""

    def change(record: dict[str, Any]) -> None:
        *folders, name = path
        for folder in folders:
            record = record[folder]
        del record[name]

    return change


def put(value: Any, *path: str | int) -> Callable[[dict[str, Any]], None]:
    """Puts a value at a path."""

    def change(record: Any) -> None:
        *folders, name = path
        for folder in folders:
            record = record[folder]
        record[name] = value

    return change


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no dtype": (
        drop("answers", "torch", "dtype"),
        'record.json: torch: no key \'dtype\': expected one of "float64", "float32"',
    ),
    "an unknown dtype": (put("float8", "answers", "torch", "dtype"), "torch: dtype: 'float8': expected one of "),
    "an unknown problem": (put("nope", "problem"), "'nope'"),
    "a problem's file that is not there": (put("nope.py", "problem"), "nope.py"),
    "an input of another shape": (put([1.0, 2.0], "inputs", "x"), "(2,)"),
    "an input too few": (drop("inputs", "x"), "no input 'x'"),
    "an input too many": (put([1.0], "inputs", "q"), "'q'"),
    "an input that is not finite": (put("NaN", "inputs", "x", 1), "x holds a value that is not finite"),
    "an input that overflows": (put(1e39, "inputs", "x", 1), "x holds a value that overflows float32"),
    "an integer beyond all floats": (put(10**400, "inputs", "x", 1), "inputs: x"),
    "a word among numbers": (put("one", "inputs", "x", 1), "'one'"),
    "a ragged input": (put([1.0], "inputs", "A", 1), "inputs: A: lists side by side differ in length"),
    "a ragged gradient": (
        put([1.0], "answers", "torch", "gradients", "A", 1),
        "torch: gradients: A: lists side by side differ in length",
    ),
    "printed in two ways": (
        put({"decimals": 4, "significant": 8}, "answers", "torch", "printed"),
        'printed: an object with decimals, significant: expected one of {"decimals": 4} and {"significant": 8}',
    ),
    "printed in no way": (put({}, "answers", "torch", "printed"), "torch: printed: an empty object: expected one of"),
    "printed to no place": (
        put({"decimals": 0}, "answers", "torch", "printed"),
        "torch: printed: decimals: 0: expected a number from 1 to 30",
    ),
    "no answers": (put({}, "answers"), "answers: an empty object: expected answers by name"),
    "answers left out": (drop("answers"), "no key 'answers': expected answers by name"),
    "a number left out": (put([[1.0, None, 2.0]], "answers", "torch", "gradients", "B"), "a number is missing"),
    "a field that is unknown": (
        put([], "answers", "torch", "gradient"),
        "torch: unknown field 'gradient': did you mean 'gradients'? expected dtype, loss, gradients",
    ),
    "an answer that is a list": (put([], "answers", "torch"), "torch: a list: expected an object with dtype, loss and"),
    "gradients in a list": (
        put([1.0], "answers", "torch", "gradients"),
        "gradients: a list: expected the gradients by",
    ),
    "a bare NaN": (put(float("nan"), "answers", "torch", "loss"), 'is not JSON: expected "NaN", "Infinity"'),
    "a bare infinity": (put([float("-inf")], "inputs", "x"), 'is not JSON: expected "NaN", "Infinity"'),
    "a value and a folder of one name": (put([1.0], "inputs/x/1"), "inputs/x"),
}


def assert_refused(gradcheck: Command, path: Path, shown: str) -> None:
    """One line on stderr about the error, nothing on stdout, and the exit code of a wrong request."""
    done = gradcheck("verify", path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("gradcheck: ")
    assert shown in line


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_is_reported_in_one_line(gradcheck: Command, tmp_path: Path, name: str) -> None:
    change, shown = MALFORMED[name]
    assert_refused(gradcheck, written(tmp_path, change), shown)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "gradients"])
def test_a_record_that_is_not_a_json_object_is_reported_in_one_line(
    gradcheck: Command, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    assert_refused(gradcheck, path, "record.json: ")


def test_a_missing_file_is_reported_in_one_line(gradcheck: Command, tmp_path: Path) -> None:
    assert_refused(gradcheck, tmp_path / "absent.json", "absent.json': No such file or directory")


class Surprise:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("surprise"),)


def test_a_pickle_in_a_npz_file_is_never_loaded(gradcheck: Command, tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    np.savez(path, **(flat(notebook()) | {"inputs/A": np.array([Surprise()], object)}))
    assert_refused(gradcheck, path, "record.npz: inputs/A has dtype object")
    assert not (tmp_path / "surprise").exists()


def test_an_invalid_npz_file_is_reported_in_one_line(gradcheck: Command, tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    np.savez(path, **flat(notebook()))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert_refused(gradcheck, path, "record.npz: ")
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    assert_refused(gradcheck, path, "record.npz: ")
    np.savez(path, **(flat(notebook()) | {"inputs/A": np.ones((3, 3), complex)}))
    assert_refused(gradcheck, path, "inputs/A has dtype complex128")
