"""The conformance suite for engines that others publish: every word of the vocabulary, judged by the oracle.

    # tests/test_conformance.py, where your engine's distribution is installed
    from gradcheck.testing import Conformance

    class TestMine(Conformance):
        engine = "mine"
        known = {("expm1", "float32"): "the derivative is taken as expm1(a) + 1"}

`words` has the samples of each word, `problems` makes problems of them, and `suite` tries them in an engine. The suite
needs pytest, but no plug-in and no option of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from gradcheck.dtypes import WIDE_DTYPES
from gradcheck.errors import RequestError
from gradcheck.testing.suite import HOSTILE, ORDINARY, Suite, engine_of
from gradcheck.testing.words import WORDS

__all__ = ["WORDS", "Conformance", "Suite", "assert_only"]


class Conformance:
    """The tests of one engine, which a class of your own inherits.

    Attributes:
        engine: its name, which an entry point in the group `gradcheck.backends` publishes.
        known: (word, dtype) -> an error that you know of, in words. Such a word may be wrong; if it no longer is, the
            test fails, so that the list stays true.
        sometimes: the same of errors that do not always occur.
        dtypes: those to try; the default is every dtype in the engine's `FORMATS`.
        words: the words to try; the default is the whole vocabulary, in which what the engine refuses as `Unsupported`
            is no error.
        second_order: the dtypes in which Hessian-vector products are tried, if the engine has them.
        only_at: the only size to try, for an engine that compiles for a minute at each size.
    """

    engine: str
    known: Mapping[tuple[str, str], str] = {}
    sometimes: Mapping[tuple[str, str], str] = {}
    dtypes: Collection[str] | None = None
    words: Collection[str] = tuple(WORDS)
    second_order: Collection[str] = ()
    only_at: int | None = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each dtype of the engine."""
        if "dtype" in metafunc.fixturenames:
            try:
                declared = engine_of(self.engine).formats
            except RequestError as error:
                pytest.fail(f"{type(self).__name__}: {error}", pytrace=False)
            metafunc.parametrize("dtype", self.dtypes or declared)
        if "second" in metafunc.fixturenames:
            none = pytest.param("", marks=pytest.mark.skip("the class names no dtypes in `second_order`"), id="none")
            metafunc.parametrize("second", self.second_order or [none])

    def test_every_word_agrees_with_the_oracle(self, dtype: str, tmp_path: Path) -> None:
        """Values, adjoints and gradients: in float64 and float32 on hostile inputs too."""
        trials = HOSTILE if dtype in WIDE_DTYPES else ORDINARY
        with Suite(tmp_path, self.words) as suite:
            found = suite.errors(self.engine, dtype, trials, only_at=self.only_at)
        assert_only(found, must=self._errors(self.known, dtype), may=self._errors(self.sometimes, dtype))

    def test_every_word_is_differentiated_twice(self, second: str, tmp_path: Path) -> None:
        """Hessian-vector products, along directions of all inputs."""
        with Suite(tmp_path, self.words) as suite:
            found = suite.errors(self.engine, second, ORDINARY, order=2, only_at=self.only_at)
        assert_only(found, may=self._errors({**self.known, **self.sometimes}, second))

    def _errors(self, listed: Mapping[tuple[str, str], str], dtype: str) -> set[str]:
        return {word for word, each in listed if each == dtype and word in self.words}


def assert_only(found: Mapping[str, Collection[str]], must: Collection[str] = (), may: Collection[str] = ()) -> None:
    """Assert which words are wrong.

    Args:
        found: the errors by word, as `Suite.errors` finds them.
        must: the words with a known error.
        may: the words that may have one.

    Raises:
        AssertionError: another word is wrong, or a word of `must` is not.
    """
    __tracebackhide__ = True
    new = {word: errors for word, errors in found.items() if word not in {*must, *may}}
    lines = [f"{word}: {error}" for word, errors in new.items() for error in errors]
    lines += [f"{word}: no error, but one is listed: remove it from the list" for word in must if word not in found]
    if lines:
        raise AssertionError("\n".join(["the engine differs from the oracle:", *lines] if new else lines))
