"""Inputs from seeds: golden bits, formulas recomputed in another way, properties of the distributions."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck import problems
from gradcheck.dtypes import DTYPES
from gradcheck.errors import ProblemError, RequestError
from gradcheck.problems import cases

SKIP = problems.load("sigmoid_skip")


@pytest.mark.parametrize(
    ("dtype", "digest"),
    [
        ("float64", "bf2e599261b95dbd55e60332d60edd1070bd9c2402ae5c59172ec083f7aa2cc5"),
        ("float32", "7c8bfb28eaeb65695cc95d31a8308be1ac81392fb54689b8d09459538bb4223f"),
        ("float16", "a3caf26952ffe5c491c54d3c0fdf24ee12c8dbde47c11ee77b1efdc03385e16f"),
        ("bfloat16", "cb0bd6c621ec07f15b9e0a128b8b641058e227d31e19ece3e78a1834da0e91a1"),
    ],
)
def test_the_bits_never_change(dtype: str, digest: str) -> None:
    assert cases.sample(SKIP, 3, 0, dtype).inputs_sha256 == digest


DIGESTS = {
    "uniform": "bf2e599261b95dbd",
    "normal": "1ecb079c16d124ee",
    "saturated": "aabd3b2d2b3c7588",
    "tiny": "cc43cd31c82f02ea",
    "mixed": "9adbd2f570d4164c",
    "zeros": "2a0729b90d40ba43",
    "unit-scaled": "831f28b57f5ff050",
    "subnormal": "81e7bc25342c557e",
    "cancelling": "94eb0c65638e0111",
}
"""The first digits of each."""


@pytest.mark.parametrize("distribution", DIGESTS)
def test_the_bits_of_every_distribution_never_change(distribution: str) -> None:
    assert cases.sample(SKIP, 3, 0, "float64", distribution).inputs_sha256.startswith(DIGESTS[distribution])


def test_entries_are_odd_multiples_of_a_power_of_two_in_the_order_of_the_inputs() -> None:
    raw = [int(bits) for bits in np.random.PCG64(7).random_raw(4 + 4 + 4 + 2)]
    expected = [float(Fraction(2 * (bits >> 12) + 1, 2**52) - 1) for bits in raw]
    inputs = cases.sample(SKIP, 2, 7, "float64").inputs
    assert [float(entry) for array in inputs.values() for entry in array.ravel()] == expected
    assert list(inputs) == ["A", "B", "C", "x"]


ALL_ZERO = ("tiny", "float16")
"""The distribution whose numbers all become zero in a dtype: it is refused there."""


@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [each for each in itertools.product(cases.DISTRIBUTIONS, DTYPES) if each != ALL_ZERO],
)
def test_every_distribution_gives_finite_inputs_of_the_right_shape_and_dtype(distribution: str, dtype: str) -> None:
    case = cases.sample(SKIP, 5, 1, dtype, distribution)
    assert {name: array.shape for name, array in case.inputs.items()} == SKIP.shapes(5)
    for array in case.inputs.values():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, cases.round_to(array.astype(np.float64), dtype))
    assert case.inputs_sha256 == cases.sample(SKIP, 5, 1, dtype, distribution).inputs_sha256
    if distribution != "zeros":
        assert case.inputs_sha256 != cases.sample(SKIP, 5, 2, dtype, distribution).inputs_sha256


def test_distributions_match_their_names() -> None:
    def draw(name: str) -> dict[str, np.ndarray]:
        return dict(cases.sample(SKIP, 64, 3, "float64", name).inputs)

    assert abs(draw("normal")["A"].std() - 1) < 0.05
    assert np.abs(draw("saturated")["A"] @ draw("saturated")["x"]).min() > 40
    assert np.abs(draw("tiny")["A"]).max() < 1e-30
    assert np.ptp(np.log10(np.abs(draw("mixed")["A"]))) > 9
    assert not draw("zeros")["A"].any()
    assert np.abs(draw("unit-scaled")["A"]).max() <= 1 / 8
    assert np.abs(draw("subnormal")["A"]).max() < np.finfo(np.float64).smallest_normal
    products = draw("cancelling")["A"] * draw("cancelling")["x"]
    pairs = np.abs(products[:, 0::2] + products[:, 1::2])
    assert np.median(pairs / np.abs(products[:, 0::2])) < 2.0**-19
    assert (pairs == 0).mean() > 0.1


SAMPLED = """
import numpy as np

def inputs(k): return {"x": (k,), "labels": (k,)}

def loss(ops, x, labels): return ops.sum(x * labels)

def sample(rng, k): return SAMPLE
"""


def sampled(folder: Path, sample: str) -> problems.Problem:
    path = folder / "sampled.py"
    path.write_text(SAMPLED.replace("SAMPLE", sample))
    return problems.load(str(path))


def test_sampled_inputs_keep_their_structure_and_the_others_are_drawn(tmp_path: Path) -> None:
    problem = sampled(tmp_path, "{'labels': rng.integers(2, size=k).astype(float)}")
    for distribution in cases.DISTRIBUTIONS:
        case = cases.sample(problem, 20, 7, "float32", distribution, scale=0.5)
        stream = cases.Stream(7)
        assert list(case.inputs) == ["x", "labels"]
        assert case.inputs["labels"].dtype == np.float32
        assert np.array_equal(case.inputs["labels"], stream.integers(2, size=20))
        if distribution == "uniform":
            assert np.array_equal(case.inputs["x"], (0.5 * stream.symmetric((20,))).astype(np.float32))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("{'z': rng.uniform(-1, 1, (k,))}", r"sample\(rng, 3\)\['z'\] is not an input: expected some of x, labels"),
        ("{'x': rng.uniform(-1, 1, (k, 1))}", r"sample\(rng, 3\)\['x'\] has shape \(3, 1\): expected \(3,\)"),
        ("{'x': rng.uniform(-1, 1, (k,)) / 0}", r"\['x'\] holds a value that is not finite"),
        ("{'x': undefined}", r"sampled.py: sample\(rng, 3\) raised NameError"),
        ("[rng]", r"sample\(rng, 3\) raised AttributeError"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(tmp_path: Path, sample: str, message: str) -> None:
    problem = sampled(tmp_path, sample)
    with np.errstate(all="ignore"), pytest.raises(ProblemError, match=message):
        cases.sample(problem, 3, 0, "float64")


def test_a_sample_is_a_function_and_does_not_overflow(tmp_path: Path) -> None:
    problem = sampled(tmp_path, "{'x': 1e6 * rng.uniform(-1, 1, (k,))}")
    with pytest.raises(RequestError, match="sample's x overflows float16: expected a wider dtype"):
        cases.sample(problem, 3, 0, "float16")
    (tmp_path / "sampled.py").write_text(SAMPLED.replace("def sample(rng, k): return SAMPLE", "sample = 3"))
    with pytest.raises(ProblemError, match=r"sample is 3: expected a function sample\(rng, k\)"):
        problems.load(str(tmp_path / "sampled.py"))


def test_an_input_that_overflows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"scale 1e\+06: uniform inputs overflow float16"):
        cases.sample(SKIP, 3, 0, "float16", scale=1e6)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_bfloat16_is_the_nearest_with_ties_to_even(value: float) -> None:
    rounded = float(cases.round_to(np.array(value), "bfloat16"))
    if np.isinf(rounded):
        assert abs(value) >= (2 - 2.0**-8) * 2.0**127
        return
    spacing = Fraction(2) ** max(math.frexp(value)[1] - 8, -133)
    steps = Fraction(rounded) / spacing
    assert steps.denominator == 1
    distance = abs(Fraction(value) - Fraction(rounded))
    assert distance < spacing / 2 or (distance == spacing / 2 and steps.numerator % 2 == 0)


def test_given_inputs_are_checked() -> None:
    arrays = {name: np.ones(shape) for name, shape in SKIP.shapes(2).items()}
    assert cases.given(SKIP, 2, "float32", arrays, "file").inputs["A"].dtype == np.float32
    with pytest.raises(RequestError, match=r"A has shape \(2, 2\): expected \(3, 3\) at k = 3"):
        cases.given(SKIP, 3, "float64", arrays, "file")
    with pytest.raises(RequestError, match="x holds a value that is not finite"):
        cases.given(SKIP, 2, "float64", arrays | {"x": np.array([1, np.inf])}, "file")
    with pytest.raises(RequestError, match="file: no input 'x': expected A, B, C, x"):
        cases.given(SKIP, 2, "float64", {name: arrays[name] for name in "ABC"}, "file")


def test_a_digest_depends_on_names_shapes_and_values() -> None:
    case = cases.sample(SKIP, 2, 0, "float64")
    inputs = dict(case.inputs)
    renamed = {"Z" if name == "A" else name: array for name, array in inputs.items()}
    reshaped = inputs | {"x": inputs["x"].reshape(1, 2)}
    changed = inputs | {"x": np.nextafter(inputs["x"], 2)}
    digests = {dataclasses.replace(case, inputs=each).inputs_sha256 for each in (inputs, renamed, reshaped, changed)}
    assert len(digests) == 4


def test_the_size_comes_from_the_shapes_and_wrong_shapes_are_named() -> None:
    arrays = dict(cases.sample(SKIP, 4, 1, "float64").inputs)
    assert cases.size_of(SKIP, arrays, "file") == cases.size_of(SKIP, arrays, "file", 7) == 4
    for changed, message in (
        (
            {"x": np.ones(5)},
            r"file: inputs A \(4, 4\), .*x \(5,\): no k gives these shapes: expected those of sigmoid_skip",
        ),
        ({"xx": np.ones(4)}, "file: unknown input 'xx': did you mean 'x'"),
    ):
        with pytest.raises(RequestError, match=message):
            cases.size_of(SKIP, arrays | changed, "file")
    with pytest.raises(RequestError, match="file: no input 'A' and no 'C': expected A, B, C, x"):
        cases.size_of(SKIP, {"B": arrays["B"], "x": arrays["x"]}, "file")
