"""What a run shall do, from five places: defaults < pyproject.toml [tool.gradcheck] < --config < environment < flags.

A setting has one name everywhere: the flag `--no-build`, the key `no-build`, the variable GRADCHECK_NO_BUILD.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from gradcheck.errors import RequestError
from gradcheck.text.suggestions import did_you_mean

PREFIX = "GRADCHECK_"

Distribution = Literal[
    "uniform", "normal", "saturated", "tiny", "mixed", "zeros", "unit-scaled", "subnormal", "cancelling"
]
Dtype = Literal["float64", "float32", "float16", "bfloat16"]

# The words in which a wrong value is refused.
EXPECTED = {
    "problem": "a problem's name or the path of a .py file",
    "k": "a whole number from 1 to 2^31 - 1",
    "seed": "a whole number from 0 to 2^63 - 1",
    "dtype": "float64, float32, float16 or bfloat16",
    "backend": "a list of backends, each NAME, NAME==VERSION, NAME@/path/to/python or exec:/path/to/program",
    "distribution": ", ".join(Distribution.__args__),  # type: ignore[attr-defined]
    "scale": "a finite number other than 0",
    "inputs": "the path of a .json or .npz file",
    "device": "cpu, cuda or cuda:N",
    "tf32": "true or false",
    "timeout": "a number of seconds above 0, at most 1000000",
    "no-build": "true or false",
    "show-gradients": "true or false",
    "gate": "rounding, formula or proved",
    "format": "the name of a report format",
    "report": "a list of paths",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A run's settings, checked; `given` are those of flags, `stated` those of files and variables."""

    problem: str = "sigmoid_skip"
    k: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 3
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    dtype: Dtype = "float64"
    backend: tuple[str, ...] = ()
    distribution: Distribution = "uniform"
    scale: float = 1.0
    inputs: str | None = None
    device: Annotated[str, Meta(pattern=r"^(cpu|cuda(:\d{1,3})?)$")] = "cpu"
    tf32: bool = False
    timeout: Annotated[float, Meta(gt=0, le=1e6)] = 120.0
    no_build: bool = False
    show_gradients: bool = False
    gate: Literal["rounding", "formula", "proved"] = "rounding"
    format: str = "table"
    report: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    stated: frozenset[str] = frozenset()


SOURCES = ("given", "stated")
FIELDS = {field.encode_name: field for field in msgspec.structs.fields(Settings) if field.name not in SOURCES}
PATHS = ("problem", "inputs", "report")
MOST_BYTES = 1 << 20
"""Of a TOML file."""
LISTS = ("backend", "report")
SHOWN = ("problem", "backend")  # in reports, which are in UTF-8
PROGRAM = "exec:"  # as in `gradcheck.execution.engines`: what comes before the path of a backend that is a program


def load(flags: Mapping[str, Any], config: str | None, environment: Mapping[str, str], folder: Path) -> Settings:
    """Settle every setting.

    Args:
        flags: what the command line gives, by the setting's name; what it does not give is absent.
        config: the path of a TOML file, if one is named.
        environment: environment variables.
        folder: where pyproject.toml is looked for, upwards.

    Raises:
        RequestError: a key is unknown, or a value is not what is expected.
    """
    stated = {given.name: checked(given) for given in _given_elsewhere(config, environment, folder)}
    flagged = {given.name: checked(given) for given in _given_by_flags(flags)}
    settled = {**stated, **flagged}
    return msgspec.convert({**settled, "given": frozenset(flagged), "stated": frozenset(stated)}, Settings)


def of(**values: Any) -> Settings:
    """Settings from Python, by name with underscores.

    Raises:
        RequestError: a value is not what is expected.
    """
    given = ((name.replace("_", "-"), name, value) for name, value in values.items())
    checked_values = {key: checked(Given(key, value, f"{name}={value!r}", is_text=False)) for key, name, value in given}
    return msgspec.convert(checked_values, Settings)


class Given(NamedTuple):
    """A value that was given for a setting; `shown` is the place and the value as the user wrote them."""

    name: str
    value: Any
    shown: str
    is_text: bool


def checked(given: Given) -> Any:
    """A setting's value in its own type.

    Raises:
        RequestError: with the place, the key, the value and what was expected.
    """
    if given.name not in FIELDS:
        meant = did_you_mean(given.name, FIELDS)
        raise RequestError(f"{given.shown}: unknown setting: {meant}expected one of {', '.join(FIELDS)}")
    try:
        converted = msgspec.convert(given.value, FIELDS[given.name].type, strict=not given.is_text)
        if isinstance(converted, float) and (not math.isfinite(converted) or converted == 0):
            raise msgspec.ValidationError
        if given.name in SHOWN and b"\0" in "".join(converted).encode():
            raise msgspec.ValidationError
    except UnicodeEncodeError:
        raise RequestError(
            f"{given.shown}: bytes that are no UTF-8: expected {EXPECTED[given.name]}, in UTF-8"
        ) from None
    except msgspec.ValidationError:
        choices = [each for each in get_args(FIELDS[given.name].type) if isinstance(each, str)]
        meant = did_you_mean(str(given.value), choices)
        raise RequestError(f"{given.shown}: {meant}expected {EXPECTED[given.name]}") from None
    return converted


def _given_by_flags(flags: Mapping[str, Any]) -> Iterator[Given]:
    for name, value in flags.items():
        shown = " ".join(value) if isinstance(value, tuple) else value
        yield Given(name, value, f"--{name} {shown}", is_text=True)


def _given_elsewhere(config: str | None, environment: Mapping[str, str], folder: Path) -> Iterator[Given]:
    """What files and variables state, from the weakest place to the strongest."""
    for parent in (folder, *folder.parents):
        if (parent / "pyproject.toml").is_file():
            path = parent / "pyproject.toml"
            yield from _from_table(_read(path).get("tool", {}).get("gradcheck", {}), path)
            break
    if config is not None:
        yield from _from_table(_read(Path(config)), Path(config))
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower().replace("_", "-")
            value = text.replace(",", " ").split() if name in LISTS else text
            yield Given(name, value, f"{variable}={text}", is_text=True)


def _from_table(table: Any, path: Path) -> Iterator[Given]:
    """A file's settings; relative paths are taken from the file's folder."""
    if not isinstance(table, dict):
        raise RequestError(f"{path}: gradcheck = {table!r}: expected a table")
    for name, value in table.items():
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        yield Given(name, _rebased(name, value, path.parent), f"{path}: {name} = {shown}", is_text=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RequestError(f"{path}: more than {MOST_BYTES} bytes: expected TOML")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise RequestError(f"config {str(path)!r}: {error.strerror}: expected a readable TOML file") from None
    except (ValueError, RecursionError) as error:  # also of a number or of lists beyond what Python reads
        raise RequestError(f"{path}: {error}: expected TOML") from None


def _rebased(name: str, value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_rebased(name, each, folder) for each in value]
    if not isinstance(value, str):
        return value
    if name == "backend" and value.startswith(PROGRAM):
        return PROGRAM + _path_from(folder, value.removeprefix(PROGRAM))
    return _path_from(folder, value) if name in PATHS and ("/" in value or "." in value) else value


def _path_from(folder: Path, path: str) -> str:
    return os.path.normpath(folder / os.path.expanduser(path)) if path else path  # noqa: PTH111 (as in catalogue)
