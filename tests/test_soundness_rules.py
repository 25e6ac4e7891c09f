"""Cases in which gradcheck once refused correct engines, in the engines themselves: docs/math.md, R1 to R8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gradcheck
from gradcheck.results import Verdict
from tests.conformance.findings import REWRITTEN

CASES = Path(__file__).parent / "data" / "soundness"
ENGINES = ("torch", "autograd", "tensorflow")
AGREES, UNDECIDED = Verdict.AGREES, Verdict.UNDECIDED
EXPECTED = {
    "power_of_0_1": AGREES,
    "power_of_0_3": AGREES,
    "power_of_0_7": AGREES,
    "softmax_of_one_64": AGREES,
    "lse_of_one": AGREES,
    "neg_inf_mask": AGREES,
    "ties_max_all_equal": AGREES,
    "ties_nonzero_maximum": AGREES,
    "ties_nonzero_where": AGREES,
    "ties_zero_init_relu": AGREES,
    "overflow_masked_max": UNDECIDED,
    "overflow_masked_maximum": UNDECIDED,
    "overflow_masked_relu": UNDECIDED,
    "overflow_masked_where": UNDECIDED,
    "overflow_softmax_of_one": UNDECIDED,
    "power_in_another_order": UNDECIDED,
    "recip_div_number": UNDECIDED,
}
K = 4096


@pytest.fixture(scope="module")
def session() -> Iterator[gradcheck.Session]:
    with gradcheck.Session() as session:
        yield session


@pytest.mark.parametrize("name", EXPECTED)
def test_correct_engines_are_not_refused(session: gradcheck.Session, name: str) -> None:
    report = session.check(str(CASES / f"{name}.py"), k=K, dtype="float32", backends=ENGINES)
    assert {backend.spec: backend.verdict for backend in report.backends} == dict.fromkeys(ENGINES, EXPECTED[name])


@pytest.mark.parametrize(("engine", "name", "dtype"), REWRITTEN)
def test_an_engine_that_rewrites_exponentials_loses_digits(
    session: gradcheck.Session, engine: str, name: str, dtype: str
) -> None:
    report = session.check(str(CASES / f"{name}.py"), k=1, dtype=dtype, backends=(engine, "torch"))
    assert [backend.verdict for backend in report.backends] == [Verdict.DIFFERS, AGREES]
