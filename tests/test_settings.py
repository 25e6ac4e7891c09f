"""Settings: precedence, and one-line refusals that show key, value and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gradcheck import settings
from gradcheck.errors import RequestError
from gradcheck.problems import cases
from gradcheck.settings import OPTIONS
from gradcheck.settings.documentation import page
from gradcheck.settings.option import Option

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
LONG = "a" * 2000


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
    every = load(config=str(config), environment=environment, flags={"k": 7})
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
        ("kk = 3", r"kk = 3: unknown setting: did you mean 'k'.$"),
        ("k = 'three'", r"k = 'three': expected a whole number from 1"),
        ("k = 0", r"k = 0: expected a whole number from 1"),
        ("k = true", r"k = true: expected a whole number from 1"),
        ("seed = -1", r"seed = -1: expected a whole number from 0"),
        ("dtype = 'float'", r"dtype = 'float': did you mean 'float64'. expected float64, float32, float16 or bfloat16"),
        ("scale = 0.0", r"scale = 0.0: expected a finite number other than 0"),
        ("scale = nan", r"scale = nan: expected a finite number"),
        ("timeout = 0", r"timeout = 0: expected a number of seconds above 0"),
        (
            "backend = 'numpy'",
            r"backend = 'numpy': did you mean \['numpy'\]. expected a list of backends, each NAME, NAME==VERSION",
        ),
        ("distribution = 'x'", r"distribution = 'x': expected uniform, normal"),
        ("watch = 'name'", r"watch = 'name': did you mean 'named'. expected named or all"),
        ("backend = [3]", r"backend = \[3\]: expected a list of backends"),
        ("device = 'gpu'", r"device = 'gpu': expected cpu, cuda or cuda:N"),
        ("gate = 'proven'", r"gate = 'proven': did you mean 'proved'. expected rounding, formula or proved"),
        ("no_build = true", r"no_build = true: unknown setting: did you mean 'no-build'.$"),
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


@pytest.mark.parametrize("value", [LONG, [LONG, 1], f"1,{LONG}"], ids=["one", "a list", "several"])
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_a_message_shortens_a_long_value(option: Option, value: object, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"{option.key} = {json.dumps(value)}")
    assert len(answer(config, {}, tmp_path)) < len(LONG)
    assert len(answer(None, {option.variable: LONG}, tmp_path)) < len(LONG)


def answer(config: Path | None, variables: dict[str, str], folder: Path) -> str:
    """The message about wrong settings, or nothing if they are right."""
    try:
        settings.load({}, config and str(config), variables, folder)
    except RequestError as refusal:
        return str(refusal)
    return ""


def test_wrong_variables_are_shown_as_they_were_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="GRADCHECK_SEED=x: expected a whole number from 0"):
        settings.load({}, None, {"GRADCHECK_SEED": "x"}, tmp_path)
    with pytest.raises(
        RequestError, match=r"GRADCHECK_NOBUILD=1: unknown setting: did you mean 'GRADCHECK_NO_BUILD'\?"
    ):
        settings.load({}, None, {"GRADCHECK_NOBUILD": "1"}, tmp_path)
    with pytest.raises(RequestError, match=r"config 'none.toml': No such file"):
        settings.load({}, "none.toml", {}, tmp_path)


def test_a_keyword_is_read_and_an_unknown_one_is_refused_with_a_suggestion() -> None:
    chosen = settings.of({"k": 5, "backends": ["numpy", "torch"], "no_build": True})
    assert (chosen.k, chosen.backend, chosen.no_build) == (5, ("numpy", "torch"), True)
    assert chosen.given == {"k", "backend", "no_build"}
    with pytest.raises(RequestError, match=r"backend=\['numpy'\]: unknown option: did you mean 'backends'\?"):
        settings.of({"backend": ["numpy"]})
    with pytest.raises(
        RequestError, match=r"report=\['r.json'\]: unknown option: expected one of problem, k, .*, shapes"
    ):
        settings.of({"report": ["r.json"]}, others=["shapes"])


def test_an_integer_of_numpy_is_a_whole_number() -> None:
    chosen = settings.of({"k": np.int64(5), "seed": np.uint8(7)})
    assert (repr(chosen.k), repr(chosen.seed)) == ("5", "7")
    several = settings.of({"seed": np.arange(3)}, many=True)
    assert repr(several.values["seed"]) == "(0, 1, 2)"


def test_the_lists_of_names_are_those_of_the_cases() -> None:
    assert set(OPTIONS["distribution"].validator.choices) == set(cases.DISTRIBUTIONS)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_a_default_is_a_value_that_may_be_given(option: Option) -> None:
    if option.default is not None:
        assert option.read(option.default, option.name) == option.default


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_an_option_comes_from_each_place_in_its_own_type(option: Option, tmp_path: Path) -> None:
    value, text = EXAMPLES[option.name]
    (tmp_path / "c.toml").write_text(f"{option.key} = {text}\n")
    in_file = settings.load({}, str(tmp_path / "c.toml"), {}, tmp_path)
    in_variable = settings.load({}, None, {option.variable: text.strip("[']").replace("', '", ", ")}, tmp_path)
    assert getattr(in_file, option.name) == getattr(in_variable, option.name) == value
    assert (in_file.stated, in_file.given) == ({option.name}, set())
    if option.keyword is not None:
        assert getattr(settings.of({option.keyword: value}, many=True), option.name) == value


EXAMPLES = {
    "problem": ("mlp", "'mlp'"), "k": (7, "7"), "seed": (8, "8"), "order": (2, "2"), "dtype": ("float16", "'float16'"),
    "backend": (("torch", "jax==0.4.30"), "['torch', 'jax==0.4.30']"), "distribution": ("tiny", "'tiny'"),
    "scale": (-0.5, "-0.5"), "inputs": ("/a/b.npz", "'/a/b.npz'"), "device": ("cuda:1", "'cuda:1'"),
    "tf32": (True, "true"), "timeout": (2.5, "2.5"), "gate": ("proved", "'proved'"),
    "allow": ("undecided", "'undecided'"), "watch": ("all", "'all'"),
    "no_build": (True, "true"), "details": (True, "true"), "show_gradients": (True, "true"),
    "format": ("json", "'json'"),
    "store": ("/a/s.sqlite", "'/a/s.sqlite'"), "partition": ("2/3", "'2/3'"), "jobs": (4, "4"),
    "dask": ("local", "'local'"),
    "write": ("/a/m.txt", "'/a/m.txt'"), "expect": ("/a/m.txt", "'/a/m.txt'"),
    "report": (("/a/r.json", "/a/r.txt"), "['/a/r.json', '/a/r.txt']"),
}  # fmt: skip
"""Of each option a value, and how it is written in a file."""


def test_the_page_on_the_options_is_made_from_their_declarations() -> None:
    assert PAGE.read_text() == page(), "run: python -m gradcheck.settings.documentation > docs/options.md"
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(OPTIONS)
    assert all(line.count("|") - line.count("\\|") == 5 for line in rows)
