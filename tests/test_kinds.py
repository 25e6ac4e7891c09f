"""Inputs that `sample` gives as integers and booleans keep their kind, and have no gradient."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gradcheck import graphs, problems
from gradcheck.api import Session
from gradcheck.errors import GradcheckError, ProblemError, RequestError
from gradcheck.oracle import Format, analyse, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.results import Report
from gradcheck.runs.verify import verify_file
from tests.conftest import Command
from tests.recorded import record_tape

pytest_plugins = ["pytester"]

ENGINES = ["torch", "torch-forward", "mxnet", "jax", "jax-eager", "jax-forward", "tensorflow", "tensorflow-graph"]
ENGINES += ["autograd", "mlx", "central-difference", "complex-step", "taylor"]

MASKED = '''"""The mean square of what a mask keeps."""
import numpy as np

def inputs(k):
    return {"W": (k, k), "x": (k,), "y": (k,), "mask": (k,)}

def sample(rng, k):
    return {"mask": rng.permutation(k) > 0}

def loss(W, x, y, mask):
    r = W @ x - y
    kept = np.where(mask, r, 0.0)
    return np.sum(kept * kept) / np.sum(np.where(mask, 1.0, 0.0))

def backward(W, x, y, mask, keeps=True):
    assert mask.dtype == bool
    r = W @ x - y
    kept = np.where(mask, r, 0)
    count = mask.sum(dtype=x.dtype)
    dkept = 2 * kept / count
    dr = np.where(mask | (not keeps), dkept if keeps else 2 * r / count, 0)
    gradients = {"W": np.outer(dr, x), "x": W.T @ dr, "y": -dr, "r": dr}
    return np.sum(kept * kept) / count, gradients, {"r": r}

def forgets_the_mask(W, x, y, mask):
    return backward(W, x, y, mask, keeps=False)

def of_the_mask_too(W, x, y, mask):
    loss, gradients, values = backward(W, x, y, mask)
    return loss, {**gradients, "mask": np.zeros(mask.shape)}, values

gradients = {"mine": backward, "forgets": forgets_the_mask, "too-many": of_the_mask_too}
'''

LABELLED = '''"""Cross-entropy of labels, in words."""
import numpy as np

def inputs(k):
    return {"z": (k, k + 2), "labels": (k,), "allowed": (k + 2, k)}

def sample(rng, k):
    return {"labels": rng.integers(k + 2, size=k), "allowed": rng.uniform(size=(k + 2, k)) < 0.7}

def loss(ops, z, labels, allowed):
    masked = ops.watch("masked", ops.where(allowed.T, z, z - 3.0))
    logp = masked - ops.logsumexp(masked, axis=1, keepdims=True)
    chosen = ops.reshape(labels, (z.shape[0], 1)) == np.arange(z.shape[1])
    return -ops.mean(ops.sum(ops.where(chosen, logp, 0.0), axis=1))

def backward(z, labels, allowed, shift=0):
    assert (labels.dtype, allowed.dtype) == (np.int64, bool)
    masked = np.where(allowed.T, z, z - z.dtype.type(3))
    shifted = masked - masked.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    dmasked = np.exp(logp)
    dmasked[rows, labels - shift] -= 1
    dmasked /= z.dtype.type(len(labels))
    return -np.mean(logp[rows, labels]), {"z": dmasked, "masked": dmasked}, {"masked": masked}

def off_by_one(z, labels, allowed):
    return backward(z, labels, allowed, shift=1)

gradients = {"mine": backward, "off-by-one": off_by_one}
'''


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    def write(text: str, name: str = "problem.py") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(scope="module")
def session():
    with Session() as session:
        yield session


def row(report: Report, name: str):
    return next(backend for backend in report.backends if backend.name == name)


@pytest.mark.parametrize("text", [MASKED, LABELLED])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_engine_takes_masks_and_labels(session, written, text: str, dtype: str) -> None:
    report = session.check(written(text), k=4, dtype=dtype, backends=["mine", *ENGINES])
    for backend in report.backends:
        expected = {"agrees", "undecided"} if backend.errors and backend.name == "central-difference" else {"agrees"}
        if backend.verdict == "unsupported":
            assert backend.name == "complex-step" or "MLX" in str(backend.reason)
            continue
        assert backend.verdict in expected, (backend.name, backend.reason)
        assert not backend.notes or backend.name == "taylor"
        assert not {"mask", "labels", "allowed"} & set(backend.errors)


def test_a_gradient_that_forgets_the_mask_is_found(session, written) -> None:
    found = row(session.check(written(MASKED), k=4, backends=["forgets"]), "forgets")
    assert (found.verdict, found.evidence) == ("differs", "proved")
    assert found.first_wrong.name == "r"
    assert found.cause.kind == "wrong formula"


def test_a_gradient_that_takes_the_label_beside_is_found(session, written) -> None:
    found = row(session.check(written(LABELLED), k=4, dtype="float32", backends=["off-by-one"]), "off-by-one")
    assert (found.verdict, found.evidence) == ("differs", "proved")
    assert found.first_wrong.name == "masked"


def test_a_gradient_of_a_mask_is_not_requested_and_differs(session, written) -> None:
    found = row(session.check(written(MASKED), backends=["too-many"]), "too-many")
    assert found.reason == "dL/dmask is given: mask is boolean: expected gradients of W, x, y alone"


EMBEDDED = """\"\"\"Rows of an embedding, by tokens that repeat.\"\"\"
import numpy as np

def inputs(k):
    return {"E": (k + 2, 3), "w": (3,), "tokens": (2, k), "labels": (k,)}

def sample(rng, k):
    return {"tokens": rng.integers(2, k + 2, size=(2, k)), "labels": rng.integers(3, size=k)}

def loss(E, w, tokens, labels):
    h = E[tokens]
    s = np.tanh(np.sum(h * w, axis=-1))
    return np.sum(s) - np.sum(E[np.arange(len(labels)), labels])

def backward(E, w, tokens, labels, add=np.add.at):
    h = E[tokens]
    s = np.tanh(np.sum(h * w, axis=-1))
    ds = 1 - s * s
    dh = ds[..., None] * w
    dE = np.zeros_like(E)
    add(dE, tokens, dh)
    dE[np.arange(len(labels)), labels] -= 1
    value = np.sum(s) - np.sum(E[np.arange(len(labels)), labels])
    return value, {"E": dE, "w": np.tensordot(ds, h, 2), "h": dh}, {"h": h}

def assign(array, places, terms):
    array[places] += terms

def assigns(E, w, tokens, labels):
    return backward(E, w, tokens, labels, assign)

gradients = {"mine": backward, "assigns": assigns}
"""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_by_tokens_agree(session, written, dtype: str) -> None:
    for backend in session.check(
        written(EMBEDDED), k=6, dtype=dtype, backends=["mine", "torch", "mxnet", "autograd"]
    ).backends:
        assert backend.verdict == "agrees", (backend.name, backend.reason)


def test_a_gradient_that_assigns_where_indices_repeat_is_named(session, written) -> None:
    found = row(session.check(written(EMBEDDED), k=6, backends=["assigns"]), "assigns")
    assert (found.verdict, found.evidence, found.first_wrong.name) == ("differs", "proved", "E")
    assert str(found.first_wrong.pattern).startswith("the last term of each index alone (np.add.at(d, i, g) is meant")


def test_a_token_outside_of_its_axis_is_one_line(gradcheck: Command, written) -> None:
    path = written(EMBEDDED.replace("rng.integers(2, k + 2, size=(2, k))", "rng.integers(k + 2, k + 3, size=(2, k))"))
    found = gradcheck("run", path, "--k", "6", "-b", "mine")
    assert (found.returncode, found.stdout) == (2, "")
    message = f"{path}:11: the index 8 is outside of an axis of length 8: expected 0 to 7"
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_graph_says_the_kinds(written, gradcheck: Command) -> None:
    path = written(LABELLED)
    nodes = json.loads(gradcheck("problems", "show", path, "--graph").stdout)["nodes"]
    assert {node["name"]: node.get("kind", "floating") for node in nodes if node["word"] == "input"} == {
        "z": "floating", "labels": "integer", "allowed": "boolean",
    }  # fmt: skip
    assert [node["kind"] for node in nodes if node["word"] in ("matrix_transpose", "reshape", "eq")] == [
        "boolean", "integer", "boolean",
    ]  # fmt: skip
    shown = gradcheck("problems", "show", path).stdout
    assert "(integer, no gradient)" in shown
    assert "(boolean, no gradient)" in shown
    schema = gradcheck("schema", "graph").stdout
    assert all(f'"{kind}"' in schema for kind in ("floating", "integer", "boolean"))


def test_distribution_and_scale_leave_them_alone(written) -> None:
    problem = problems.load(written(LABELLED))
    plain = cases.sample(problem, 3, 5, "float64").inputs
    scaled = cases.sample(problem, 3, 5, "float32", "saturated", 7.0).inputs
    for name, dtype in (("labels", np.int64), ("allowed", np.bool_)):
        assert plain[name].dtype == scaled[name].dtype == dtype
        assert np.array_equal(plain[name], scaled[name])


def test_the_digest_of_a_shipped_problem_with_labels_is_that_of_numbers() -> None:
    case = cases.sample(problems.load("logistic_regression"), 3, 0, "float32")
    assert case.inputs["t"].dtype == np.int64
    numbers = {name: array.astype(np.float32) for name, array in case.inputs.items()}
    assert case.inputs_sha256 == cases.replace(case, inputs=numbers).inputs_sha256


GIVEN = ({"x": (3,), "t": (3,)}, {"t": "integer"})
"""Shapes and kinds."""

ONE = """import numpy as np
def inputs(): return {"x": (3,), "t": (3,)}
def sample(rng): return {"t": SAMPLE}
def loss(x, t): return LOSS
"""


def one(sample: str, loss: str = "np.sum(x * t)") -> str:
    return ONE.replace("SAMPLE", sample).replace("LOSS", loss)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (one("np.array([1, 2, 2**53 + 1])"), "sample's t holds 9007199254740993: expected whole numbers of at most"),
        (one("np.array([1, 2, -(2**54)])"), "sample's t holds -18014398509481984: expected whole numbers of at most"),
        (one("rng.integers(2, size=3)") + "wrt = ('x', 't')\n", "wrt names 't', which sample gives as integers: "),
        (one("rng.integers(2, size=3) if rng.uniform() < 0.5 else np.ones(3)"), "expected one kind for all seeds"),
        (one("np.array([2**63, 1, 1], np.uint64)"), "raised OverflowError: 9223372036854775808 is beyond int64"),
        (one("rng.uniform(size=3) < 0.5", "np.sum(x * -t)"), "got a condition: expected numbers; write np.where"),
        (one("np.arange(3)", "np.sum(np.where(x == t + 1, x, 0))"), "operator ==: expected integers that sample gives"),
        (one("np.arange(3)", "np.sum(np.where(t == 0.5, x, 0))"), "operator ==: expected integers that sample gives"),
        (one("np.arange(3)", "t[0]"), "the loss returns integers of shape "),
        (
            one("np.arange(3)").replace('{"x": (3,), "t": (3,)}', '{"t": (3,)}').replace("loss(x, t)", "loss(t)")
            .replace("x * t", "t"),
            "no input is floating: expected one that has a gradient",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(session, written, text: str, message: str) -> None:
    path = written(text)
    seeds = range(8)
    with pytest.raises(GradcheckError, match=message.replace("(", r"\(")) as caught:
        [session.check(path, seed=seed, dtype="float16", backends=["autograd"], no_build=True) for seed in seeds]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_integers_that_the_dtype_lacks_are_compared_exactly(session, written, dtype: str) -> None:
    loss = "np.sum(np.where(t == 50001, x, 0.0) + np.where(t > 50000, 2 * x, 0.0))"
    text = one("np.array([50000, 50001, 70000])", loss)
    problem = problems.load(written(text))
    case = cases.sample(problem, None, 0, dtype)
    assert case.inputs["t"].tolist() == [50000, 50001, 70000]
    gradient = analyse(record_tape(problem, None), case.inputs, Format.of(dtype))["gradient", "x"]
    assert gradient.enclosure.high.tolist() == [0.0, 3.0, 2.0]
    assert np.all(gradient.worst < 0.1)  # in doubt it would be 1 or more
    [found] = session.check(written(text), dtype=dtype, backends=["torch"]).backends
    assert found.verdict == "agrees"


def test_an_integer_among_floats_is_rounded_once() -> None:
    """Once, where the dtype lacks it."""
    tape = tape_of(
        graphs.record(lambda ops, x, t: ops.sum(ops.watch("counts", ops.astype(t, float)) * x), *GIVEN), ("x",)
    )
    inputs = {"x": np.ones(3, np.float16), "t": np.array([3, 2049, 4099])}
    worst = {name: analyse(tape, inputs, Format.of(name))["value", "counts"].worst for name in ("float64", "float16")}
    assert not worst["float64"].any()
    assert worst["float16"] == pytest.approx([0.0, 2049 * 2.0**-11, 4099 * 2.0**-11], rel=1e-6)
    assert np.all(np.abs(inputs["t"].astype(np.float16).astype(float) - inputs["t"]) <= worst["float16"])


def test_cases_with_other_integers_have_other_digests(written) -> None:
    """float16 rounds both to 50016 and has neither."""
    digests = set()
    for token in (50001, 50002, 70000, 80000):
        problem = problems.load(written(one(f"np.array([1, 2, {token}])"), f"p{token}.py"))
        digests.add(cases.sample(problem, None, 0, "float16").inputs_sha256)
    assert len(digests) == 4


@pytest.mark.parametrize("form", ["json", "npz"])
def test_inputs_from_a_file_keep_their_kinds(session, written, tmp_path: Path, form: str, gradcheck: Command) -> None:
    path, problem = written(LABELLED), problems.load(written(LABELLED))
    inputs = cases.sample(problem, 2, 3, "float64").inputs
    file = tmp_path / f"inputs.{form}"
    if form == "npz":
        np.savez(file, **inputs)
    else:
        file.write_text(json.dumps({name: array.tolist() for name, array in inputs.items()}))
    found = gradcheck("run", path, "--inputs", str(file), "-b", "mine", "--format", "json")
    report = msgspec.json.decode(found.stdout, type=Report)
    assert report.verdict == "agree"
    assert report.case.inputs_sha256 == cases.sample(problem, 2, 3, "float64").inputs_sha256


def test_a_file_of_inputs_of_another_kind_is_refused(written) -> None:
    problem = problems.load(written(LABELLED))
    inputs = {name: array.astype(float) for name, array in cases.sample(problem, 2, 3, "float64").inputs.items()}
    inputs["labels"][1] = 0.5
    with pytest.raises(RequestError, match=r"file: labels holds 0.5: expected integers, as the problem's sample gives"):
        cases.given(problem, 2, "float64", inputs, "file")
    inputs["labels"][1], inputs["allowed"][0, 0] = 1, 2
    with pytest.raises(RequestError, match=r"file: allowed holds 2: expected booleans, as the problem's sample gives"):
        cases.given(problem, 2, "float64", inputs, "file")


def test_a_record_is_verified_with_them(written, tmp_path: Path) -> None:
    problem = problems.load(written(MASKED))
    inputs = cases.sample(problem, 3, 1, "float64").inputs
    loss, gradients, _ = problem.functions["mine"](**inputs)
    answer = {"dtype": "float64", "loss": float(loss)}
    record = {
        "problem": "problem.py",
        "inputs": {name: array.tolist() for name, array in inputs.items()},
        "answers": {
            "right": answer | {"gradients": {name: gradients[name].tolist() for name in wrt_of(problem, 3)}},
            "wrong": answer | {"gradients": {name: (2 * gradients[name]).tolist() for name in "Wxy"}},
        },
    }
    (tmp_path / "record.json").write_text(json.dumps(record))
    report = verify_file(tmp_path / "record.json", "rounding")
    assert [backend.verdict for backend in report.backends] == ["agrees", "differs"]


def test_a_program_gets_them_in_their_own_dtype(session, written, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(
        """#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "stop":
        break
    result = {"version": "1"}
    if request["method"] == "evaluate":
        said = {name: [array["dtype"], array["data"]] for name, array in request["inputs"].items()}
        result = None
        error = {"kind": "unsupported", "message": json.dumps([said, request["wrt"]])}
    print(json.dumps({"id": request["id"], "result": result} if result else {"id": request["id"], "error": error}))
    sys.stdout.flush()
"""
    )
    program.chmod(0o755)
    text = one("np.array([True, False, True])", "np.sum(np.where(t, x, 0.0))")
    inputs, wrt = json.loads(session.check(written(text), backends=[f"exec:{program}"]).backends[0].reason)
    assert inputs["t"] == ["bool", [1, 0, 1]]
    assert inputs["x"][0] == "float64"
    assert wrt == ["x"]
    text = one("np.array([5, 6, 7])")
    inputs, wrt = json.loads(session.check(written(text), backends=[f"exec:{program}"]).backends[0].reason)
    assert inputs["t"] == ["int64", [5, 6, 7]]


def test_the_example_of_the_page_on_problems_agrees(session, written) -> None:
    page = (Path(__file__).parents[1] / "docs" / "problems.md").read_text()
    every = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    blocks = [block for block in every if "labels" in block and "engine" not in block]
    shapes = '{"logits": (k, 10), "scale": (k,), "labels": (k,), "mask": (k,)}'
    path = written("\n".join(["import numpy as np", f"def inputs(k): return {shapes}", *blocks]))
    report = session.check(path, k=5, backends=["torch", "central-difference"])
    assert [backend.verdict for backend in report.backends] == ["agrees", "agrees"]
    assert set(row(report, "torch").errors) == {"logits", "scale"}


def many(rng):
    return {"t": rng.integers(10, size=300)}


def total(x, t):
    return np.sum(np.where(t > 4, x, t * x))


def of_total(x, t):
    assert t.dtype == np.int64
    return np.sum(np.where(t > 4, x, t * x)), {"x": np.where(t > 4, 1.0, t)}


def test_a_function_with_a_sample_of_many_integers(session) -> None:
    """More entries than a message has inline."""
    parts = {"inputs": {"x": (300,), "t": (300,)}, "sample": many, "gradients": {"mine": of_total}}
    report = session.check(total, **parts, backends=["mine", "torch"])
    report.assert_agrees()
    assert set(row(report, "mine").errors) == {"x"}


def test_the_fixture_takes_a_sample(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np

        def kept(rng):
            return {"m": rng.uniform(size=4) < 0.5}

        def loss(x, m):
            return np.sum(np.where(m, x * x, x))

        def right(x, m):
            return np.sum(np.where(m, x * x, x)), {"x": np.where(m, 2 * x, 1)}

        def test_it(gradcheck):
            gradcheck(loss, inputs={"x": (4,), "m": (4,)}, sample=kept, gradients={"right": right}, seeds=range(3))
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_one_of_the_kinds_alone_is_an_error_of_the_problem(written) -> None:
    problem = problems.load(written(one("rng.integers(2, size=3)") + "wrt = ('t',)\n"))
    with pytest.raises(ProblemError, match=r"in sample write .astype\(float\), or leave it out of wrt"):
        graph_of(problem, None)
