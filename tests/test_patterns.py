"""Patterns: the sentence that fits every entry, and none where none does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck.judging.patterns import Pattern, Wrong
from gradcheck.judging.patterns import pattern as pattern_of

UNIT = 2.0**-53
TRUE = np.random.default_rng(3).uniform(-1, 1, (4, 4))
ROWS = np.random.default_rng(4).uniform(-1, 1, (5, 3))


def pattern(array: Wrong) -> str | None:
    found = pattern_of(array)
    return found.text if found else None


def wrong(got: Any, true: Any = TRUE, **more: Any) -> Wrong:
    true = np.asarray(true, np.float64)
    return Wrong(np.asarray(got, np.float64), true, 8 * UNIT * np.abs(true), UNIT, **more)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (0 * TRUE, "zero"),
        (-TRUE, "−1 × the truth"),
        (2 * TRUE, "2 × the truth"),
        (TRUE / 2, "1/2 × the truth"),
        (TRUE / 7, "1/7 × the truth (7 is the length of an axis)"),
        (TRUE * np.sqrt(7), "√7 × the truth (7 is the length of an axis)"),
        (TRUE * (1 + 2e-6), "1.000002 × the truth"),
        (TRUE * (1 - 2e-9), "(1 − 2.0e-09) × the truth"),
        (TRUE.T, "the transpose of the truth"),
        (TRUE[::-1], "the truth with axis 0 reversed"),
        (TRUE[:, ::-1], "the truth with axis 1 reversed"),
        (np.roll(TRUE, 1, 0), "the truth shifted by 1 along axis 0"),
        (np.vstack([TRUE[1:], np.zeros((1, 4))]), "the truth shifted by -1 along axis 0, zeros moved in"),
        (np.broadcast_to(TRUE.sum(0), (4, 4)), "the sum of the truth over axis 0, in every entry"),
        (np.broadcast_to(TRUE.mean(1, keepdims=True), (4, 4)), "the mean of the truth over axis 1, in every entry"),
        (TRUE + np.array([[1.0], [2.0], [3.0], [5.0]]), "off by a constant along axis 1"),
        (np.vstack([TRUE[:1], 1 + TRUE[1:] ** 2]), "right in the first entry of axis 0 alone"),
    ],
)
def test_a_pattern_is_named(got: np.ndarray, expected: str) -> None:
    assert pattern(wrong(got, sizes=(7,))) == expected


def test_too_few_and_too_many_terms_of_a_sum_are_named() -> None:
    terms = [ROWS, ROWS**2, np.sin(9 * ROWS)]
    true = sum(terms)
    assert pattern(wrong(terms[1], true, terms=terms)) == "one of its 3 terms alone (= where += is meant?)"
    assert pattern(wrong(terms[0] + terms[2], true, terms=terms)) == "without one of its 3 terms"
    assert pattern(wrong(true + terms[2], true, terms=terms)) == "with one of its 3 terms twice"


@pytest.mark.parametrize(
    "got",
    [
        TRUE**3,
        np.where(np.arange(4) == 2, 2 * TRUE, TRUE),
        np.full_like(TRUE, np.nan),
        TRUE + 1e-9 * TRUE**2,
        np.where(np.arange(4)[:, None] % 2 == 0, TRUE, 1 + TRUE**2),
    ],
    ids=["a cube", "one column doubled", "NaN", "a small bend", "every other row"],
)
def test_no_sentence_is_invented(got: np.ndarray) -> None:
    assert pattern(wrong(got, sizes=(7,))) is None


def test_an_error_of_only_the_largest_entry_is_not_a_constant() -> None:
    true = 10.0 ** np.arange(-8, 9)
    got = true.copy()
    got[-1] *= 1 + 64 * UNIT
    assert pattern(wrong(got, true)) is None


def test_a_scalar_has_no_measured_factor() -> None:
    assert pattern(wrong(1.3, 1.0)) is None
    assert pattern(wrong(-1.0, 1.0)) == "−1 × the truth"


def test_variations_within_rounding_still_fit() -> None:
    rounded = -TRUE * (1 + 4 * UNIT * np.sign(TRUE.T))
    assert pattern(wrong(rounded)) == "−1 × the truth"


@given(st.integers(0, 2**32 - 1), st.integers(3, 6))
def test_random_arrays_have_no_pattern(seed: int, size: int) -> None:
    got, true = np.random.default_rng(seed).uniform(-1, 1, (2, size, size))
    assert pattern(wrong(got, true, sizes=range(3, 20), terms=[true - got * got, got * got])) is None


@pytest.mark.parametrize(
    ("got", "exact"), [(0 * TRUE, False), (TRUE * (1 + 1e-9), False), (-TRUE, True), (TRUE.T, True)]
)
def test_a_pattern_that_lost_digits_may_cause_is_not_exact(got: np.ndarray, exact: bool) -> None:
    found = pattern_of(wrong(got))
    assert isinstance(found, Pattern)
    assert found.exact is exact
