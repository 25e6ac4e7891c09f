"""The page on the options, made from their declarations: `python -m gradcheck.settings.documentation`."""

from __future__ import annotations

import sys

from gradcheck.settings.declared import OPTIONS
from gradcheck.settings.option import Option

INTRODUCTION = """\
# Options

Each option of `gradcheck run` is also a key in a TOML file (`--config`, see `configs/`), a key in `[tool.gradcheck]` of
the nearest pyproject.toml, and an environment variable. A flag overrides a variable, a variable overrides `--config`,
and `--config` overrides pyproject.toml. `--no-build` is the key `no-build` and the variable `GRADCHECK_NO_BUILD`. A
switch is `true` or `false` there. An option that may be repeated is a list in a file; in a variable, blanks or commas
separate its values. A relative path in a file starts from the file's folder.

An option with `Several` takes several values, each of them for other cases, and the run prints a summary:
[docs/many-cases.md](many-cases.md). In a file they are a list too, and in `gradcheck.sweep` a list or a range.
`store`, `jobs`, `dask` and `partition` are keywords of `gradcheck.sweep` only.

`gradcheck.check`, `Session.check` and the pytest fixture take the keywords of the last column; they read no file and no
variable. `python -m gradcheck.settings.documentation` makes this page from the declarations.

| option | what it is | default | keyword in Python |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The page."""
    return INTRODUCTION + "".join(f"{row(option)}\n" for option in OPTIONS.values())


def row(option: Option) -> str:
    """One option."""
    flags = f"{option.flag} {option.metavar}".strip()
    flag = option.metavar if option.name == "problem" else flags
    cells = (code(flag), f"{option.help}{option.several_note}", option.default_in_words, code(option.keyword or ""))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def code(text: str) -> str:
    """Text as code; an empty text stays empty."""
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.stdout.write(page())
