"""The places that give settings: files, variables, flags and Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcheck.errors import RequestError
from gradcheck.settings.declared import OPTIONS, Settings
from gradcheck.settings.option import LONGEST_SHOWN, PREFIX, Option, shown
from gradcheck.text.suggestions import expected_one_of
from gradcheck.text.wording import shortened

MOST_BYTES = 1 << 20
"""The largest TOML file."""
KEYS = {option.key: option for option in OPTIONS.values()}
VARIABLES = {option.variable: option for option in OPTIONS.values()}
KEYWORDS_OF_MANY = {option.keyword: option for option in OPTIONS.values() if option.keyword is not None}
KEYWORDS = {keyword: option for keyword, option in KEYWORDS_OF_MANY.items() if not option.of_many}

Stated = tuple[str, Any]
"""The name of an option and its value, checked."""


def load(flags: Mapping[str, Any], config: str | None, environment: Mapping[str, str], folder: Path) -> Settings:
    """Settle every setting.

    Args:
        flags: the checked values of the command line, by the option's name, without options that it does not give;
            several values as a tuple or a range.
        config: the path of a TOML file, if one is named.
        environment: environment variables.
        folder: where the search for pyproject.toml starts, upwards.

    Raises:
        RequestError: a key is unknown, or a value is not what is expected.
    """
    stated = {**dict(_in_files(config, folder)), **dict(_in_variables(environment))}
    return _settings({**stated, **flags}, frozenset(flags), frozenset(stated))


def _settings(chosen: Mapping[str, Any], given: frozenset[str], stated: frozenset[str] = frozenset()) -> Settings:
    """Settings of checked values, of which some are several."""
    values = {
        name: value for name, value in chosen.items() if OPTIONS[name].several and isinstance(value, tuple | range)
    }
    first = {name: each[0] for name, each in values.items()}
    several = {name: each for name, each in values.items() if len(each) > 1}
    return Settings(**{**chosen, **first}, given=given, stated=stated, values=several)


def of(keywords: Mapping[str, Any], others: Iterable[str] = (), many: bool = False) -> Settings:
    """Settings from Python.

    Args:
        keywords: values by keyword.
        others: other keywords of the caller, for suggestions about an unknown one.
        many: whether there may be several values, and options of a run of many cases.

    Raises:
        RequestError: a keyword is unknown, or a value is not what is expected.
    """
    given = {}
    for keyword, value in keywords.items():
        written = f"{keyword}={shown(value)}"
        known = KEYWORDS_OF_MANY if many else KEYWORDS
        option = _known(keyword, known, f"{written}: unknown option", others)
        if option.several and not many and isinstance(value, (list, tuple, range)):
            raise RequestError(f"{written}: several values: expected one; gradcheck.sweep takes several")
        given[option.name] = option.read_several(value, written) if many else option.read(value, written)
    return _settings(given, frozenset(given))


def _known(name: str, options: Mapping[str, Option], unknown: str, others: Iterable[str] = ()) -> Option:
    """The option that a name means."""
    if name not in options:
        names = [*options, *others]
        raise RequestError(f"{unknown}: {expected_one_of(name, names)}")
    return options[name]


def _in_files(config: str | None, folder: Path) -> Iterator[Stated]:
    """The settings in files: pyproject.toml, then the named one."""
    for parent in (folder, *folder.parents):
        if (parent / "pyproject.toml").is_file():
            path = parent / "pyproject.toml"
            yield from _in_table(_read(path).get("tool", {}).get("gradcheck", {}), path)
            break
    if config is not None:
        yield from _in_table(_read(Path(config)), Path(config))


def _in_table(table: Any, path: Path) -> Iterator[Stated]:
    """A file's settings; relative paths start from the file's folder."""
    if not isinstance(table, dict):
        raise RequestError(f"{path}: gradcheck = {shown(table)}: expected a table")
    for key, value in table.items():
        written_value = str(value).lower() if isinstance(value, bool) else shown(value)
        written = f"{path}: {shortened(key, LONGEST_SHOWN)} = {written_value}"
        option = _known(key, KEYS, f"{written}: unknown setting")
        yield option.name, option.read_several(option.from_folder(path.parent, value), written)


def _in_variables(environment: Mapping[str, str]) -> Iterator[Stated]:
    for variable, value in environment.items():
        if variable.startswith(PREFIX):
            written = f"{variable}={shortened(value, LONGEST_SHOWN)}"
            option = _known(variable, VARIABLES, f"{written}: unknown setting")
            given: str | Sequence[str] = value.replace(",", " ").split() if option.repeated else value
            yield option.name, option.read_several(given, written, is_text=True)


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # costs 3 ms, and `--help` reads no file

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
