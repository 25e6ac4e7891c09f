"""Settings: precedence, and one-line refusals that show key, value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from gradcheck import settings
from gradcheck.errors import RequestError
from gradcheck.problems import cases


def test_each_place_overrides_the_one_before(tmp_path: Path) -> None:
    def load(**given: object) -> settings.Settings:
        return settings.load(given.get("flags", {}), given.get("config"), given.get("environment", {}), tmp_path)

    config = tmp_path / "config.toml"
    config.write_text("k = 5\nseed = 5\ndtype = 'float32'\n")
    assert load().k == 3
    (tmp_path / "pyproject.toml").write_text("[tool.gradcheck]\nk = 4\nseed = 4\ndtype = 'float16'\nscale = 4.0\n")
    assert load().k == 4
    assert load(config=str(config)).k == 5
    environment = {"GRADCHECK_K": "6", "GRADCHECK_SEED": "6"}
    assert load(config=str(config), environment=environment).k == 6
    every = load(config=str(config), environment=environment, flags={"k": "7"})
    assert (every.k, every.seed, every.dtype, every.scale) == (7, 6, "float32", 4.0)


def test_pyproject_is_found_above_and_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.gradcheck]\nproblem = 'mine.py'\nreport = ['out/r.json']\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    loaded = settings.load({}, None, {}, below)
    assert loaded.problem == str(tmp_path / "mine.py")
    assert loaded.report == (str(tmp_path / "out" / "r.json"),)


def test_lists_and_booleans_from_the_environment(tmp_path: Path) -> None:
    loaded = settings.load({}, None, {"GRADCHECK_BACKEND": "numpy, torch", "GRADCHECK_NO_BUILD": "true"}, tmp_path)
    assert loaded.backend == ("numpy", "torch")
    assert loaded.no_build is True


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("kk = 3", r"kk = 3: unknown setting: did you mean 'k'. expected one of problem, k, seed"),
        ("k = 'three'", r"k = 'three': expected a whole number from 1"),
        ("k = 0", r"k = 0: expected a whole number from 1"),
        ("k = true", r"k = true: expected a whole number from 1"),
        ("seed = -1", r"seed = -1: expected a whole number from 0"),
        ("dtype = 'float'", r"dtype = 'float': did you mean 'float64'. expected float64, float32, float16 or bfloat16"),
        ("scale = 0.0", r"scale = 0.0: expected a finite number other than 0"),
        ("scale = nan", r"scale = nan: expected a finite number"),
        ("timeout = 0", r"timeout = 0: expected a number of seconds above 0"),
        ("backend = 'numpy'", r"backend = 'numpy': expected a list of backends"),
        ("distribution = 'x'", r"distribution = 'x': expected uniform, normal"),
        ("no-build = 1", r"no-build = 1: expected true or false"),
        ("k = ", r"expected TOML"),
    ],
)
def test_a_wrong_config_is_refused(tmp_path: Path, toml: str, message: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(toml)
    with pytest.raises(RequestError, match=message) as refusal:
        settings.load({}, str(config), {}, tmp_path)
    assert str(config) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_wrong_flags_and_variables_are_shown_as_they_were_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--k x: expected a whole number from 1"):
        settings.load({"k": "x"}, None, {}, tmp_path)
    with pytest.raises(RequestError, match="GRADCHECK_SEED=x: expected a whole number from 0"):
        settings.load({}, None, {"GRADCHECK_SEED": "x"}, tmp_path)
    with pytest.raises(RequestError, match=r"config 'none.toml': No such file"):
        settings.load({}, "none.toml", {}, tmp_path)


def test_the_lists_of_names_are_those_of_the_cases() -> None:
    assert set(get_args(settings.Distribution)) == set(cases.DISTRIBUTIONS)
    assert set(get_args(settings.Dtype)) == set(cases.DTYPES)
    assert set(settings.EXPECTED) == set(settings.FIELDS)
