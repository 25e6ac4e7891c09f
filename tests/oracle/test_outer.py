"""The errors of outer products, found for vectors, are those that the rules find entry by entry."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradcheck.oracle import DOUBT, Format, outer
from gradcheck.oracle.enclosure import bound_of, spread_of
from gradcheck.oracle.operations.products import MULTIPLY, OUTER
from gradcheck.oracle.quantities import Quantity
from gradcheck.oracle.running_error import Arithmetic, evaluate, has_extended_precision
from gradcheck.oracle.walks import Deferred

FORMATS = {
    "float64": Format.of("float64"),
    "float32": Format.of("float32"),
    "float32, flushing": Format.of("float32", flushes=True),
    "float16": Format.of("float16"),
    "truncated products": Format.of("float32", truncates_products=True),
}
LENGTHS = (40, 30)


def vector(
    rng: np.random.Generator,
    length: int,
    arithmetic: Arithmetic,
    widest: int,
    as_product: bool,
    *,
    widened: float = 1.0,
) -> Quantity:
    """A vector with errors and terms: one factor, or a product of two; some entries are zero.

    The errors are 10 standard deviations, times `widened`.
    """
    sizes = rng.uniform(-1, 1, length) * 2.0 ** rng.integers(-widest, 2, length)
    sizes[rng.random(length) < 0.2] = 0.0
    u = arithmetic.backend.roundoff
    errors = np.abs(sizes) * u * rng.uniform(0, 5, length)
    errors = widened * (errors + rng.choice([0.0, 4 * arithmetic.backend.smallest], length))
    single = Quantity(sizes, 1e-6 * errors, errors, np.square(0.1 / widened * errors), parts=2 * np.abs(sizes))
    return evaluate(arithmetic, MULTIPLY, [single, single]) if as_product else single


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("as_product", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_errors_are_those_of_each_entry(name: str, as_product: bool, seed: int) -> None:
    format, rng = FORMATS[name], np.random.default_rng(seed)
    # From numbers near one to such whose products underflow.
    widest = seed * (6 if name == "float16" else 30)
    for radii in (True, False):
        arithmetic = Arithmetic.float64(format, radii)
        operands = [vector(rng, length, arithmetic, widest, as_product) for length in LENGTHS]
        product = Deferred(arithmetic, OUTER, operands, LENGTHS)
        known = 0
        for row in range(LENGTHS[0]):
            rows = slice(row, row + 1)
            found = product.bounds(rows)
            expected = evaluate(arithmetic, OUTER, [operands[0].rows(rows), operands[1]])
            if found is None:  # whether an order of factors underflows depends on both
                assert as_product
                continue
            known += 1
            assert np.array_equal(found.middle, expected.middle)
            assert (found.radius is not None) == radii
            bounds = [(found.worst, bound_of(expected.worst, expected.shape))]
            bounds += [(found.spread, spread_of(expected.variance, None, expected.shape))]
            bounds += [] if found.radius is None else [(found.radius, bound_of(expected.radius, expected.shape))]
            for mine, theirs in bounds:
                # `evaluate` may add a unit roundoff to all entries, where one of them needs it.
                assert (mine <= theirs * (1 + 1e-12)).all()
                assert (mine >= theirs / (1 + 1.01 * format.roundoff) * (1 - 1e-12)).all()
        assert known, "nothing overflows"


@pytest.mark.parametrize("as_product", [False, True])
def test_only_bounds_of_at_most_32_deviations_are_narrow(as_product: bool) -> None:
    rng, arithmetic = np.random.default_rng(0), Arithmetic.float64(FORMATS["float32"], radii=False)
    found = []
    for widened in (0.1, 1.0, 3.0, 6.0, 10.0, 30.0):
        operands = [vector(rng, length, arithmetic, 5, as_product, widened=widened) for length in LENGTHS]
        bounds = Deferred(arithmetic, OUTER, operands, LENGTHS).bounds(slice(0, LENGTHS[0]))
        assert bounds is not None
        found.append((bounds.product.narrow, bool((bounds.worst <= DOUBT * bounds.spread).all())))
    assert set(found) == {(True, True), (False, True), (False, False)}, "it is known of some of them"


@pytest.mark.parametrize("largest", [1e19, 1e25, np.inf, np.nan])
def test_what_may_overflow_is_left_to_the_rules_of_entries(largest: float) -> None:
    arithmetic = Arithmetic.float64(FORMATS["float32"])
    vectors = [np.array([1.0, largest]), np.array([2.0, 1e20])]
    product = Deferred(arithmetic, OUTER, [Quantity(vector) for vector in vectors], (2, 2))
    assert product.bounds(slice(0, 1)) is None
    assert (product.rows(slice(0, 1)).worst < np.inf).all()
    assert not (product.rows(slice(1, 2)).worst[:, 1] < np.inf).any()


def test_an_error_that_may_overflow_is_left_to_the_rules_of_entries() -> None:
    vectors = Quantity(np.array([1.0, 1.0]), worst=np.array([0.0, 3e38])), Quantity(np.array([1.0, 2.0]))
    product = Deferred(Arithmetic.float64(FORMATS["float32"]), OUTER, vectors, (2, 2))
    assert product.bounds(slice(0, 1)) is None
    assert product.rows(slice(1, 2)).worst[0, 1] == np.inf


@pytest.mark.skipif(not has_extended_precision(), reason="no walk is wider than float64")
@pytest.mark.parametrize("seed", range(3))
def test_a_product_of_split_numbers_errs_by_2_to_minus_74(seed: int) -> None:
    rng, format = np.random.default_rng(seed), FORMATS["float64"]
    vectors = [longdoubles(rng, length, 40) for length in LENGTHS]
    found = product_of(vectors, format).bounds(slice(None))
    assert found is not None
    assert found.radius is not None
    got = np.multiply.outer(*vectors).astype(np.float64)
    got[::3] *= 1 + 2.0**-40  # wrong
    distance, middle = found.distance(got), found.middle
    largest = 0.0
    for place in np.ndindex(*LENGTHS):
        true = exactly(vectors[0][place[0]]) * exactly(vectors[1][place[1]])
        error = abs(Fraction(distance[place]) - (Fraction(got[place]) - true))
        rounding = 4 * Fraction(2) ** -53 * abs(Fraction(distance[place]))
        assert error <= rounding + Fraction(outer.SPLIT) * abs(true)
        assert found.radius[place] >= outer.SPLIT * abs(true)
        assert abs(middle[place] - true) <= Fraction(2) ** -52 * abs(true)
        low = abs(exactly(found.enclosure.high[place]) + exactly(found.enclosure.low[place]) - true)
        assert low <= Fraction(outer.SPLIT) * abs(true)
        largest = max(largest, float(low / abs(true)))
    assert largest > outer.SPLIT / 32, "the bound is near the largest error"


@pytest.mark.skipif(not has_extended_precision(), reason="no walk is wider than float64")
@pytest.mark.parametrize("sizes", [(1e-280, 1.0), (1e-150, 1e-150)])
def test_parts_of_small_numbers_are_left_to_the_rules_of_entries(sizes: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    vectors = [longdoubles(rng, length, 1) * size for length, size in zip(LENGTHS, sizes, strict=True)]
    assert product_of(vectors, FORMATS["float64"]).bounds(slice(None)) is None


@pytest.mark.parametrize("blur", [1e-6, 0.2, 3.0])
def test_one_bound_has_the_radius_and_the_errors(blur: float) -> None:
    rng = np.random.default_rng(0)
    arithmetic = Arithmetic.float64(FORMATS["float32"])
    operands = []
    for length in LENGTHS:
        sizes = rng.uniform(0.5, 1, length)
        spread = sizes * 2.0**-24
        operands.append(Quantity(sizes, blur * spread, 10 * spread, np.square(spread)))
    product = Deferred(arithmetic, OUTER, operands, LENGTHS)
    found = product.bounds(slice(None))
    assert found is not None
    assert found.radius is not None
    assert found.reach == pytest.approx(found.worst + found.radius, rel=1e-12, abs=0)
    least = DOUBT * found.spread + found.radius
    assert (found.limit >= least * (1 - 1e-12)).all()
    assert (found.limit <= 1.01 * least).all()


def product_of(vectors: list[np.ndarray], format: Format) -> Deferred:
    """Their outer product, in a walk in longdouble."""
    return Deferred(Arithmetic.extended(format), OUTER, [Quantity(each) for each in vectors], LENGTHS)


def longdoubles(rng: np.random.Generator, length: int, widest: int) -> np.ndarray:
    """Numbers with all digits of longdouble."""
    high, low = rng.uniform(-1, 1, (2, length))
    return np.ldexp(np.longdouble(high) + low * np.longdouble(2) ** -53, rng.integers(-widest, widest, length))


def exactly(number: np.floating) -> Fraction:
    """A number of any dtype as a fraction."""
    return Fraction(*number.as_integer_ratio())
