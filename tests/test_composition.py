"""Reports, without a run: their lists, how answers differ in pairs, and where two releases first diverge."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.backends._worker import comparison
from gradcheck.execution.engines import Spec
from gradcheck.findings import Entry, WrongStep
from gradcheck.judging import judge
from gradcheck.judging.judge import Judgement
from gradcheck.oracle import Format
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.results import Backend, BackendEnvironment, Verdict
from gradcheck.runs import assemble
from gradcheck.runs.sources import Sources
from tests.recorded import record_tape

PROBLEM = problems.load("sigmoid_skip")
LARGEST = assemble.LARGEST_LISTED
SOURCES = Sources(PROBLEM, graph_of(PROBLEM, 3))


@pytest.mark.parametrize(("k", "listed"), [(LARGEST, True), (LARGEST + 1, False)])
def test_small_gradients_are_listed_and_large_ones_are_not(k: int, listed: bool) -> None:
    case = cases.sample(PROBLEM, k, 0, "float64")
    answer = BackendAnswer(np.array(1.0), {"A": np.ones((k, k))})
    backend = assemble.answered(Spec("numpy"), case, answer, Judgement(Verdict.AGREES), None, SOURCES)
    assert (backend.gradients is not None) == listed


def test_variations_are_listed_by_kind_and_name() -> None:
    case = cases.sample(PROBLEM, 3, 0, "float64")
    varies = {("loss", None): 0.25, ("adjoint", "z"): 2.0}
    answer = BackendAnswer(np.array(1.0), {"A": np.ones((3, 3))}, varies=varies)
    backend = assemble.answered(Spec("numpy"), case, answer, Judgement(Verdict.AGREES), None, SOURCES)
    assert [(each.kind, each.name, each.largest) for each in backend.varies] == [
        ("loss", None, 0.25),
        ("adjoint", "z", 2.0),
    ]
    assert "numpy: dL/dz varies from call to call by 2.0" in backend.finding()


def test_a_watched_value_and_its_adjoint_vary_apart_and_no_number_is_the_same_as_no_number() -> None:
    first, second = (
        BackendAnswer(
            np.array(1.0),
            {"A": np.array([1.0, np.nan])},
            {"h": np.array([1.0, 2.0])},
            {"h": np.array([[value, np.nan, np.inf]])},
            varies={},
        )
        for value in (1.0, 1.5)
    )
    assert list(comparison.differences(first, second)) == [(("adjoint", "h"), 0.5)]


def test_a_wrong_value_and_its_wrong_adjoint_are_both_named() -> None:
    value, adjoint = (
        WrongStep(
            kind=kind, name="h", index=(0,), got=1.0, true=2.0, bound=0.1, deviations=99.0,
            by_step=True, bad_entries=1, entries=3,
        )
        for kind in ("value", "adjoint")
    )  # fmt: skip
    backend = Backend(
        name="mine", spec="mine", version=None, dtype="float64", verdict=Verdict.DIFFERS, reason="it is wrong",
        first_wrong=value, wrong_steps=(value, adjoint),
    )  # fmt: skip
    assert [line for line in backend.finding() if "wrong:" in line] == [
        "  first wrong: h[0] = 1 off by 1.0, bound 0.1, in 1 of 3",
        "   also wrong: dL/dh[0] = 1 off by 1.0, bound 0.1, in 1 of 3",
    ]


@pytest.mark.parametrize(("by_step", "named"), [(True, "bound 0.1"), (False, "bound of all steps 0.1")])
def test_a_bound_of_all_steps_is_called_so_beside_that_of_one(by_step: bool, named: str) -> None:
    step = WrongStep(
        kind="gradient", name="W", index=(0,), got=1.0, true=2.0, bound=0.1, deviations=99.0,
        by_step=by_step, bad_entries=1, entries=3,
    )  # fmt: skip
    entry = Entry(index=(0,), got=1.0, true=2.0, error=1.0, bound=0.1, bound_ratio=10.0, deviations=99.0)
    assert f", {named}, in 1 of 3" in str(step)
    assert str(entry).endswith("off by 1.0, bound of all steps 0.1")


def test_the_enclosure_of_the_loss_has_digits_beyond_float64() -> None:
    case = cases.sample(PROBLEM, 4, 0, "float64")
    truth = judge.truth(record_tape(PROBLEM, 4), case.inputs, Format.of("float64"))
    enclosure = truth.analysis["loss", None].enclosure
    assert assemble.oracle(truth).loss.rad >= abs(float(enclosure.low)) > float(enclosure.radius)


def test_pairs_differ_by_their_largest_difference_and_shapes_that_do_not_fit_by_no_number() -> None:
    answers = {
        "one": BackendAnswer(np.array(1.0), {"A": np.zeros(3), "B": np.zeros(2)}),
        "other": BackendAnswer(np.array(1.5), {"A": np.array([0.0, 0.25, -2.0]), "B": np.zeros(3)}),
    }
    (pair,) = assemble.pairs(answers)
    assert (pair.left, pair.right, pair.loss_abs_diff, pair.max_abs_diff["A"]) == ("one", "other", 0.5, 2.0)
    assert np.isnan(pair.max_abs_diff["B"])


def test_adjoints_are_compared_from_the_last_to_the_first() -> None:
    left, right = (
        BackendAnswer(np.array(1.0), {}, {}, {"u": np.array([value]), "v": np.array([value])}) for value in (1.0, 2.0)
    )
    assert assemble.first_divergence("a==1", "a==2", left, right).name == "v"


def test_slopes_of_a_witness_are_compared_too() -> None:
    left, right = (BackendAnswer(np.array(1.0), {}, slopes=np.array([1.0, value])) for value in (1.0, 2.0))
    found = assemble.first_divergence("taylor", "taylor@python", left, right)
    assert (found.kind, found.name, found.index) == ("slopes", None, (1,))
    assert "first diverge at dL/d(step)[1] = 1 and 2" in str(found)


def test_nan_equals_nan() -> None:
    left, right = (BackendAnswer(np.array(1.0), {"A": np.array([np.nan, value])}) for value in (1.0, 2.0))
    found = assemble.first_divergence("a==1", "a==2", left, right)
    assert (found.index, found.differing) == ((1,), 1)


@pytest.mark.parametrize(("specs", "count"), [(("torch==1", "torch==2"), 1), (("exec:./a/torch", "exec:./b/torch"), 0)])
def test_releases_of_an_engine_are_compared_and_programs_of_one_name_are_not(
    specs: tuple[str, str], count: int
) -> None:
    backends = [
        Backend(name="torch", spec=spec, version=None, dtype="float64", verdict=Verdict.AGREES) for spec in specs
    ]
    answers = {spec: BackendAnswer(np.array(1.0), {"A": np.ones(1)}) for spec in specs}
    places = {
        spec: BackendEnvironment(python=None, python_version=None, packages={}, threads=None, device="cpu")
        for spec in specs
    }
    assert len(list(assemble.first_divergences(backends, answers, places))) == count
