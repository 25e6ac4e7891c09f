"""Every word on every engine, over ordinary and hostile inputs, through real workers, held against the oracle.

A new engine inherits all of this: its file is found in the folder of backends. One problem has all samples, each with
its own watched values and adjoints, so that a compiling engine compiles a dozen times and not thousands. If an engine
lacks a part of it, or gives no adjoints, each sample is its own problem.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gradcheck import problems
from gradcheck.answers import BackendAnswer
from gradcheck.api import Logged
from gradcheck.backends._worker.stream import Stream
from gradcheck.errors import RequestError
from gradcheck.execution import engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Environment
from gradcheck.execution.messages import Request
from gradcheck.execution.pool import Pool, hosted
from gradcheck.execution.worker import Failure
from gradcheck.graphs import OPERATORS, VOCABULARY, Graph, record
from gradcheck.judging import judge
from gradcheck.judging.evidence import examine
from gradcheck.oracle import Format, Key, Tape, stages, tape_of
from gradcheck.problems import cases
from gradcheck.problems.recording import graph_of
from gradcheck.problems.sampling import wrt_of
from gradcheck.results import Verdict
from gradcheck.text.wording import in_words
from tests.conformance.findings import FINDINGS, OF_SECOND_ORDER, SOMETIMES
from tests.conformance.words import DOMAINS, WORDS, Sample
from tests.recorded import record_tape

SAMPLES = [sample for several in WORDS.values() for sample in several]
WORD_OF = [word for word, several in WORDS.items() for _ in several]
TIMEOUT = 300  # seconds; some engines compile
HOSTILE = ("uniform", "saturated", "mixed", "cancelling", "tiny", "zeros", "subnormal")
CASES = [("uniform", 1), *((distribution, 33) for distribution in HOSTILE)]
"""Distributions and sizes; at 33 vectorised kernels have a body and a tail."""
FEW_CASES = [("uniform", 1), ("uniform", 33)]
FEW_DTYPES = ("float64",)
"""What is tried without --every-case."""
FEW_ENGINES = ("manual", "numpy", "torch", "mxnet")
"""The same: the engines that `sigmoid_skip` names. Each of the others takes half a minute."""
WIDE_DTYPES = ("float64", "float32")

SECOND = (
    *(("torch", dtype) for dtype in ("float64", "float32", "bfloat16")),
    *((name, "float64") for name in ("jax-eager", "tensorflow", "autograd")),
    ("mlx", "float32"),
)
"""What is tried in second order, with --every-case."""
ONLY_AT = {"torch-compile": 33, "jax": 33}
"""The only size for an engine that takes a minute to compile all samples at each size; jax-eager has both."""

SOURCE = """
import numpy as np

def inputs(k):
    return {inputs}

wrt = {wrt}

def sample(rng, k):
    places = np.where(np.arange(k) % 2 == 0, k // 2, np.arange(k)[::-1])
    structured = {{"i": np.arange(k) % 3, "j": places, "m": np.arange(k) % 2 == 0}}
    return {{name: structured[name[0]] for name in inputs(k) if name[1] == "_" and name[0] in structured}}

def loss(ops, **given):
    total = 0.0
{samples}
    return total
"""
SAMPLE = """
    {operands} = {watched}
    k = {first}.shape[0]
    total = total + ops.sum(given["weights_{number}"] * ops.watch("out_{number}", {expression}))
"""
SHAPES = {"a": "(k,)", "b": "(k,)", "M": "(k, k)", "N": "(k, k)", "i": "(k,)", "j": "(k,)", "m": "(k,)"}
KINDS = {"i": "integer", "j": "integer", "m": "boolean"}


class Given(NamedTuple):
    """Samples as one problem at a size: the problem's file and its tape."""

    problem: problems.Problem
    tape: Tape


def operands_of(sample: Sample) -> list[str]:
    """The inputs that an expression uses."""
    used = {node.id for node in ast.walk(ast.parse(sample.expression)) if isinstance(node, ast.Name)}
    return [name for name in SHAPES if name in used]


def source(samples: Mapping[int, Sample], k: int) -> str:
    """A problem whose loss is the weighted sum of all expressions; inputs are shared by the samples of a domain."""
    domains = {
        f"{name}_{DOMAINS.index(sample.domain)}": SHAPES[name]
        for sample in samples.values()
        for name in operands_of(sample)
    }
    shapes = {f"weights_{number}": str(shape_of(sample.expression, k)) for number, sample in samples.items()}
    inputs = ", ".join(f"{name!r}: {shape}" for name, shape in (domains | shapes).items())
    return SOURCE.format(
        inputs=f"{{{inputs}}}",
        wrt=repr(tuple(name for name in domains if name[0] not in KINDS)),
        samples="".join(
            SAMPLE.format(
                number=number,
                expression=sample.expression,
                first=operands_of(sample)[0],
                operands=", ".join(operands_of(sample)),
                watched=", ".join(
                    given.replace("GIVEN", f"given['{name}_{DOMAINS.index(sample.domain)}']")
                    for name in operands_of(sample)
                    for given in ["GIVEN" if name in KINDS else f"ops.watch('{name}_in_{number}', GIVEN)"]
                ),
            )
            for number, sample in samples.items()
        ),
    )


@cache
def shape_of(expression: str, k: int) -> tuple[int, ...]:
    """The shape that an expression has at a size."""
    loss = eval(f"lambda ops, a, b, M, N, i, j, m: ops.sum(ops.watch('out', {expression}))", {"k": k, "np": np})
    shapes = {name: eval(shape, {"k": k}) for name, shape in SHAPES.items()}
    tape = tape_of(record(loss, shapes, KINDS), ("a",))
    return tape.nodes[tape.outputs["value", "out"]].shape


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Numbers of samples -> their problem at a size."""
    folder = tmp_path_factory.mktemp("words")

    @cache
    def write(numbers: tuple[int, ...], k: int) -> Given:
        path = Path(folder) / f"problem_{numbers[0]}_{hash(numbers)}_{k}.py"
        path.write_text(source({number: SAMPLES[number] for number in numbers}, k))
        problem = problems.load(str(path))
        return Given(problem, record_tape(problem, k))

    return write


@pytest.fixture(scope="session")
def pools() -> Iterator[dict[str, Pool]]:
    """Engine -> its warm worker."""
    running: dict[str, Pool] = {}
    yield running
    for pool in running.values():
        pool.close()


def worker(pools: dict[str, Pool], name: str) -> Pool:
    """The engine's pool, started once."""
    if name not in pools:
        engine = engines.find(name)
        place = environments.find(Spec(name), engine)
        if not isinstance(place, Environment):
            place = environments.Builder(Logged()).build({Spec(name): engine})[Spec(name)]
        assert isinstance(place, Environment), place.reason
        pools[name] = Pool()
        pools[name].start({name: hosted(place.python, backend=str(engine.path))}, timeout=TIMEOUT)
    return pools[name]


def inside(values: np.ndarray, domain: str, smallest: float) -> np.ndarray:
    """Inputs moved into a domain: their magnitudes, with ``smallest`` in the place of zero."""
    if domain == "all":
        return values
    if domain == "above −1":
        return np.where(values > -1, values, -values)
    size = np.abs(values) if domain == "positive" else values
    return np.where(size == 0, smallest, size).astype(values.dtype)


def drawn(problem: problems.Problem, k: int, dtype: str, distribution: str) -> dict[str, np.ndarray]:
    """Inputs of a distribution, and ordinary weights."""
    ordinary, inputs = cases.sample(problem, k, 2, dtype).inputs, {}
    for name, array in cases.sample(problem, k, 1, dtype, distribution).inputs.items():
        kind, _, number = name.partition("_")
        drawn_apart = kind == "weights" or kind in KINDS
        inputs[name] = ordinary[name] if drawn_apart else inside(array, DOMAINS[int(number)], Format.of(dtype).normal)
    return inputs


def directions(graph: Graph, dtype: str) -> dict[str, np.ndarray]:
    """The directions of a graph of order 2."""
    shapes, stream = graph.inputs, Stream(7)
    return {name: cases.round_to(cases.cotangent(stream, shapes[name]), dtype) for name in graph.directions.values()}


def exists(problem: problems.Problem, k: int, dtype: str, distribution: str) -> bool:
    """Whether a distribution has inputs in the dtype: tiny ones become zero in float16, and are refused."""
    try:
        cases.sample(problem, k, 1, dtype, distribution)
    except RequestError:
        return False
    return True


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
def chosen(request: pytest.FixtureRequest) -> tuple[int, ...]:
    """The numbers of the samples to try: all, or those of the words in --words."""
    words = (request.config.getoption("--words") or ",".join(WORDS)).split(",")
    assert set(words) <= set(WORDS)
    return tuple(number for number, word in enumerate(WORD_OF) if word in words)


@pytest.fixture(scope="session")
def every(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--every-case"))


def test_every_word_agrees_with_the_oracle(name, dtype, pools, written, chosen, every):
    pool, engine, found = worker(pools, name), engines.find(name), {}
    hostile = every and dtype in WIDE_DTYPES and engine.variant_of is None
    for numbers, distribution, k in requests(pool, name, dtype, written, chosen, CASES if hostile else FEW_CASES):
        for number, complaint in run_samples(pool, engine, written, numbers, dtype, distribution, k):
            expression = SAMPLES[number].expression
            found.setdefault(WORD_OF[number], []).append(f"{expression}, {distribution} at k = {k}: {complaint}")
    tried = {WORD_OF[number] for number in chosen}
    known = {word for each, word, which in FINDINGS if (each, which) == (name, dtype)} & tried
    found = {word: reason for word, reason in found.items() if (name, word, dtype) not in SOMETIMES}
    assert {word: reason for word, reason in found.items() if word not in known} == {}
    assert known == set(found) or not hostile


def test_every_word_is_differentiated_twice(second, pools, written, chosen):
    """Hessian-vector products, along directions of all inputs."""

    def twice(numbers: tuple[int, ...], k: int) -> Given:
        problem, tape = written(numbers, k)
        graph = tape.graph.along(tape.wrt)
        return Given(problem, tape_of(graph, tape.wrt))

    name, dtype = second
    pool, engine, found = worker(pools, name), engines.find(name), {}
    for numbers, distribution, k in requests(pool, name, dtype, written, chosen, FEW_CASES):
        for number, complaint in run_samples(pool, engine, twice, numbers, dtype, distribution, k):
            expression = SAMPLES[number].expression
            found.setdefault(WORD_OF[number], []).append(f"{expression}, {distribution} at k = {k}: {complaint}")
    known = {word for each, word, which in {**FINDINGS, **OF_SECOND_ORDER} if (each, which) == (name, dtype)}
    assert {word: reason for word, reason in found.items() if word not in known} == {}
    of_second = {word for each, word, which in OF_SECOND_ORDER if (each, which) == (name, dtype)}
    assert of_second & {WORD_OF[number] for number in chosen} <= set(found)


def requests(pool, name, dtype, written, together, wanted) -> Iterator[tuple[tuple[int, ...], str, int]]:
    """The problems for an engine: all samples together, or each alone if it evaluates the loss for every entry."""
    small = written((0,), 1).problem
    tried = [(distribution, k) for distribution, k in wanted if exists(small, k, dtype, distribution)]
    request = Request(small.path, graph_of(small, 1), dtype, wrt_of(small, 1), drawn(small, 1, dtype, "uniform"))
    ((_, first),) = pool.evaluate(request, [name])
    if isinstance(first, Failure) or first.adjoints:
        yield from ((together, distribution, ONLY_AT.get(name, k)) for distribution, k in tried)
    else:
        yield from (((each,), distribution, min(k, 3)) for each in together for distribution, k in tried)


APART: dict[tuple[str, str], set[int]] = {}
"""Engine and dtype -> the samples that it lacks in some case: they run alone in the next ones."""


def run_samples(pool, engine, written, numbers, dtype, distribution, k) -> Iterator[tuple[int, str]]:
    """The errors in an engine's answers to samples, by their numbers."""
    known = APART.setdefault((engine.name, dtype), set())
    if len(numbers) > 1 and not known.isdisjoint(numbers):
        rest = tuple(number for number in numbers if number not in known)
        for group in (*((number,) for number in numbers if number in known), *([rest] if rest else [])):
            yield from run_samples(pool, engine, written, group, dtype, distribution, k)
        return
    given = written(numbers, k)
    inputs = drawn(given.problem, k, dtype, distribution) | directions(given.tape.graph, dtype)
    alone = len(numbers) == 1
    request = Request(given.problem.path, given.tape.graph, dtype, given.tape.wrt, inputs)
    ((_, outcome),) = pool.evaluate(request, [engine.name])
    if not alone and isinstance(outcome, Failure):
        known.update(set(with_words_of(outcome.reason, numbers)) or numbers)
        yield from run_samples(pool, engine, written, numbers, dtype, distribution, k)
    elif isinstance(outcome, Failure):
        if outcome.verdict is not Verdict.UNSUPPORTED or not outcome.reason:
            yield numbers[0], f"{outcome.verdict}: {outcome.reason} {outcome.details[-300:]}"
    else:
        truth = judge.truth(given.tape, inputs, Format.of(dtype, **engine.formats[dtype]))
        ordinary = (
            distribution == "uniform" and dtype in ("float64", "float32") and k > 1
        )  # with one entry much cancels
        for key, complaint in complaints(outcome, truth, ordinary):
            if alone or key[0] in ("value", "adjoint"):  # an array that sums all samples shows nothing about one
                yield numbers[0] if alone else number_of(key[1]), complaint


def with_words_of(reason: str, numbers: tuple[int, ...]) -> Iterator[int]:
    """The samples with the words that a reason names: the others run together, since engines compile for seconds."""
    words = re.findall(r"ops\.(\w+)", reason)
    yield from (number for number in numbers if any(f"ops.{word}(" in SAMPLES[number].expression for word in words))


def number_of(name: str) -> int:
    """The sample to which a watched value belongs; some watch values of their own."""
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdigit() else next(n for n, each in enumerate(SAMPLES) if f"'{name}'" in each.expression)


def complaints(answer: BackendAnswer, truth: judge.Truth, ordinary: bool) -> Iterator[tuple[Key, str]]:
    """The errors of an answer, array by array: from end to end, as without watched values, and step by step."""
    assert judge.missing(answer, truth.tape) is None
    if answer.estimates:  # a witness is judged by its own estimates
        judged = judge.judge(answer, truth, "rounding")
        if judged.verdict is Verdict.DIFFERS:
            yield ("gradient", None), f"{judged.reason} {judged.first_wrong}"
        return
    arrays = dict(answer.arrays())
    steps = {(step.kind, step.name): step for step in stages(truth.tape, truth.inputs, truth.format, arrays)}
    for key, output in truth.analysis.items():
        got = arrays.get(key)
        if got is None:
            continue
        for whole, step in ((output, None), (None, steps[key])):
            way = "end to end" if whole else "by step"
            finding = examine(got, whole, step, truth.format, limited=True, measured=True)
            if finding.bad:
                yield key, f"{judge.sentence(key, finding)} {way}: {finding.worst[0]}"
            elif whole and ordinary and not finding.has_power:
                yield key, f"{in_words(*key)} cannot be judged"
    if truth.analysis.ties:
        yield from ((broken.keys[0], broken.reason) for broken in judge.at_ties(answer, truth, "rounding"))


def test_what_an_engine_lacks_is_named_as_a_word(pools, written):
    """Else each sample would run alone, which takes minutes."""
    few = tuple(
        number for number in range(len(SAMPLES)) if WORD_OF[number] in ("at_add", "cumulative_prod", "solve_triangular")
    )
    given, pool = written(few, 3), worker(pools, "autograd")
    inputs = drawn(given.problem, 3, "float64", "uniform")
    request = Request(given.problem.path, given.tape.graph, "float64", given.tape.wrt, inputs)
    ((_, outcome),) = pool.evaluate(request, ["autograd"])
    assert set(with_words_of(outcome.reason, few)) < set(few)


def test_every_word_is_tried():
    assert set(WORDS) == {*VOCABULARY, *(operator.symbol for operator in OPERATORS.values()), "watch"}
