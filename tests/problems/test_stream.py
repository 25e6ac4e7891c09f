"""The stream that problems draw from: golden bits, and each method computed again from the raw bits of PCG64."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck.backends._worker.stream import NAMES, Stream

GOLDEN: dict[str, tuple[Callable[[Stream], Any], str]] = {
    "uniform": (lambda rng: rng.uniform(size=(100, 3)), "2ea32227bcddf815"),
    "uniform of arrays": (lambda rng: rng.uniform([-1.0, 0.1], 3, (50, 2)), "7e3e93956091f6e9"),
    "normal": (lambda rng: rng.normal(0.1, 2.5, 200), "4d90ceebcfde8127"),
    "integers": (lambda rng: rng.integers(-5, 1000, size=200), "3f95dd8ac47b211f"),
    "integers below": (lambda rng: rng.integers(2**32, size=(7, 7)), "1fe622b2ed1f7291"),
    "choice": (lambda rng: rng.choice(np.arange(12.0).reshape(6, 2), (4, 5)), "13f8afc43f75d7fe"),
    "choice without replacement": (lambda rng: rng.choice(300, 40, replace=False), "986f65b0efb59910"),
    "choice by p": (lambda rng: rng.choice(3, 200, p=[0.1, 0.7, 0.2]), "9d6b8539dbe7e322"),
    "permutation": (lambda rng: rng.permutation(100), "f19fd288f6b7b9c0"),
    "permutation of rows": (lambda rng: rng.permutation(np.eye(9)), "6136b575d6271688"),
}


PAGE = Path(__file__).parents[2] / "docs" / "problems.md"


def test_the_page_on_problems_has_every_word_as_it_is_called() -> None:
    documented = re.findall(r"^\| `rng\.(\w+)\((.*?)\)`", PAGE.read_text(), re.MULTILINE)
    assert {name for name, _ in documented} == set(NAMES.split(", "))
    for name, written in documented:
        parameters = list(inspect.signature(getattr(Stream, name)).parameters.values())[1:]
        names = [each.name if each.default is each.empty else f"{each.name}={each.default}" for each in parameters]
        assert written == ", ".join(names)


def digest(drawn: np.ndarray) -> str:
    return hashlib.sha256(drawn.astype(drawn.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("word", GOLDEN)
def test_every_word_has_the_same_bits_on_every_machine(word: str) -> None:
    draw, expected = GOLDEN[word]
    assert digest(draw(Stream(7))) == expected


def raw(count: int) -> list[int]:
    return [int(bits) for bits in np.random.PCG64(7).random_raw(count)]


def test_uniform_is_an_affine_map_of_the_upper_53_bits() -> None:
    fractions = [(bits >> 11) / 2**53 for bits in raw(20)]
    assert Stream(7).uniform(size=20).tolist() == fractions
    assert Stream(7).uniform(-3.0, 0.1, (4, 5)).ravel().tolist() == [-3.0 + 3.1 * each for each in fractions]


def test_normal_is_half_the_sum_of_twelve_odd_multiples() -> None:
    odd = [float(Fraction(2 * (bits >> 12) + 1, 2**52) - 1) for bits in raw(12 * 5)]
    for place, drawn in enumerate(Stream(7).normal(2.0, 3.0, 5).tolist()):
        total = 0.0
        for term in odd[place::5]:
            total += term
        assert drawn == 2.0 + 3.0 * (0.5 * total)


def test_integers_are_the_upper_half_of_the_stream() -> None:
    assert Stream(7).integers(1000, size=20).tolist() == [(bits >> 32) * 1000 >> 32 for bits in raw(20)]
    assert Stream(7).integers(-5, 1000, 20).tolist() == [((bits >> 32) * 1005 >> 32) - 5 for bits in raw(20)]


def test_a_permutation_swaps_from_the_end() -> None:
    order = list("abcdefgh")
    for last, bits in zip(range(7, 0, -1), raw(7)):
        other = (bits >> 32) * (last + 1) >> 32
        order[last], order[other] = order[other], order[last]
    assert Stream(7).permutation(list("abcdefgh")).tolist() == order
    assert sorted(Stream(7).permutation(50).tolist()) == list(range(50))
    assert [Stream(7).permutation(count).tolist() for count in (0, 1)] == [[], [0]]


def test_choice_by_p_looks_a_uniform_number_up_in_the_sums_of_p() -> None:
    drawn = Stream(7).choice(["a", "b", "c"], 30, p=[0.25, 0.0, 0.75])
    assert drawn.tolist() == ["a" if (bits >> 11) / 2**53 < 0.25 else "c" for bits in raw(30)]


def test_methods_draw_from_the_distributions_in_their_names() -> None:
    rng = Stream(0)
    assert abs(rng.normal(5, 2, 100_000).mean() - 5) < 0.03
    assert abs(rng.normal(5, 2, 100_000).std() - 2) < 0.03
    assert abs(rng.uniform(2, 4, 100_000).mean() - 3) < 0.01
    assert np.abs(np.bincount(rng.integers(10, size=100_000)) / 10_000 - 1).max() < 0.05
    assert np.abs(np.bincount(rng.choice(2, 100_000, p=[0.2, 0.8])) / [20_000, 80_000] - 1).max() < 0.05
    firsts = np.bincount([Stream(seed).permutation(4)[0] for seed in range(4000)])
    assert np.abs(firsts / 1000 - 1).max() < 0.1
    assert len(set(rng.choice(100, 60, replace=False).tolist())) == 60


def test_without_a_size_one_number_is_drawn_or_as_many_as_the_parameters_have() -> None:
    rng = Stream(0)
    assert [np.shape(each) for each in (rng.normal(), rng.uniform(), rng.integers(9), rng.choice(3))] == [()] * 4
    assert rng.normal([0.0, 1.0]).shape == rng.uniform(0, [1.0, 2.0]).shape == rng.integers([3, 4]).shape == (2,)
    assert rng.choice(np.eye(3)).shape == (3,)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda rng: rng.standard_gamma(3), "rng has no 'standard_gamma': expected one of normal, uniform, integers, "),
        (lambda rng: rng.integers(5, 5), r"rng.integers\(5, 5\): expected low < high"),
        (lambda rng: rng.integers(0), r"rng.integers\(0, 0\): expected low < high"),
        (lambda rng: rng.integers(-1, 2**32), "at most 2\\*\\*32 apart"),
        (lambda rng: rng.integers(2.5), r"rng.integers: 2.5: expected integers, and a shape as size="),
        (lambda rng: rng.integers(2, size="3"), r"rng.integers\(size='3'\): expected a number or a shape"),
        (lambda rng: rng.uniform(0, np.inf), "rng.uniform: inf is not finite"),
        (lambda rng: rng.uniform([0, 1], 2, (3, 1)), r"rng.uniform\(size=\(3, 1\)\): expected a shape that parameters"),
        (lambda rng: rng.normal(0, -1), r"rng.normal\(scale=-1.0\): expected a scale that is not negative"),
        (lambda rng: rng.normal(size=-2), r"rng.normal\(size=-2\): expected a shape"),
        (lambda rng: rng.choice([]), "rng.choice: nothing to choose from"),
        (lambda rng: rng.choice(3, 4, replace=False), "rng.choice: 4 of 3 without replacement"),
        (lambda rng: rng.choice(3, p=[0.5, 0.6, 0.1]), "expected 3 probabilities, whose sum is 1"),
        (lambda rng: rng.choice(2, p=[1.5, -0.5]), "expected 2 probabilities, whose sum is 1"),
        (lambda rng: rng.choice(2, replace=False, p=[0.5, 0.5]), "p without replacement: expected one of both"),
    ],
)
def test_invalid_draws_are_refused_in_words(draw: Callable[[Stream], Any], message: str) -> None:
    with pytest.raises((AttributeError, ValueError), match=message):
        draw(Stream(0))
