"""Every word on every engine, over ordinary and hostile inputs, through real workers, held against the oracle.

A new engine inherits all of this: its file is found in the folder of backends. `gradcheck.testing` has the suite.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradcheck.dtypes import WIDE_DTYPES
from gradcheck.execution import engines
from gradcheck.graphs import OPERATORS, VOCABULARY
from gradcheck.testing import Suite, assert_only
from gradcheck.testing.problems import SAMPLES, WORD_OF, drawn, with_words_of
from gradcheck.testing.suite import HOSTILE, ORDINARY
from gradcheck.testing.words import WORDS
from tests.conformance.findings import FINDINGS, OF_SECOND_ORDER, SOMETIMES

FEW_DTYPES = ("float64",)
"""What is tried without --every-case."""
FEW_ENGINES = ("manual", "numpy", "torch", "mxnet")
"""The same: the engines that `sigmoid_skip` names. Each of the others takes half a minute."""
SECOND = (
    *(("torch", dtype) for dtype in ("float64", "float32", "bfloat16")),
    *((name, "float64") for name in ("jax-eager", "tensorflow", "autograd")),
    ("mlx", "float32"),
)
"""What is tried in second order, with --every-case."""
ONLY_AT = {"torch-compile": 33, "jax": 33}
"""The only size for an engine that takes a minute to compile all samples at each size; jax-eager has both."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A few engines in float64; with --every-case all, variants of engines too, in all dtypes."""
    every = metafunc.config.getoption("--every-case")
    if "second" in metafunc.fixturenames:
        left_out = pytest.mark.skip(reason="only with --every-case: it takes half a minute")
        metafunc.parametrize("second", SECOND if every else [pytest.param(SECOND[0], marks=left_out)], ids="-".join)
    if "dtype" in metafunc.fixturenames:
        chosen = [
            (name, dtype)
            for name in engines.paths()
            for dtype in engines.find(name).formats
            if every or (dtype in FEW_DTYPES and name in FEW_ENGINES)
        ]
        metafunc.parametrize(("name", "dtype"), chosen)


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Suite]:
    """It tries all words, or those in --words."""
    words = (request.config.getoption("--words") or ",".join(WORDS)).split(",")
    assert set(words) <= set(WORDS)
    with Suite(tmp_path_factory.mktemp("words"), words) as suite:
        yield suite


@pytest.fixture(scope="session")
def every(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--every-case"))


def known(suite: Suite, findings: dict[tuple[str, str, str], str], name: str, dtype: str) -> set[str]:
    """The words with a known error in an engine and dtype, of those that are tried."""
    tried = {WORD_OF[number] for number in suite.numbers}
    return {word for each, word, which in findings if (each, which) == (name, dtype)} & tried


def test_every_word_agrees_with_the_oracle(name: str, dtype: str, suite: Suite, every: bool) -> None:
    hostile = every and dtype in WIDE_DTYPES and engines.find(name).variant_of is None
    found = suite.errors(name, dtype, HOSTILE if hostile else ORDINARY, only_at=ONLY_AT.get(name))
    findings, sometimes = known(suite, FINDINGS, name, dtype), known(suite, SOMETIMES, name, dtype)
    assert_only(found, must=findings if hostile else (), may=findings | sometimes)


def test_every_word_is_differentiated_twice(second: tuple[str, str], suite: Suite) -> None:
    """Hessian-vector products, along directions of all inputs."""
    name, dtype = second
    found = suite.errors(name, dtype, ORDINARY, order=2, only_at=ONLY_AT.get(name))
    assert_only(found, must=known(suite, OF_SECOND_ORDER, *second), may=known(suite, FINDINGS, *second))


def test_what_an_engine_lacks_is_named_as_a_word(suite: Suite) -> None:
    """Else each sample would run alone, which takes minutes."""
    few = tuple(
        number for number in range(len(SAMPLES)) if WORD_OF[number] in ("at_add", "cumulative_prod", "solve_triangular")
    )
    written = suite.written(few, 3)
    outcome = suite.answer("autograd", written, "float64", drawn(written.problem, 3, "float64", "uniform"))
    assert set(with_words_of(outcome.reason, few)) < set(few)


def test_every_word_is_tried() -> None:
    assert set(WORDS) == {*VOCABULARY, *(operator.symbol for operator in OPERATORS.values()), "watch"}
