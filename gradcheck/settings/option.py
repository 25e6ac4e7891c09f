"""The declaration of one option, and the properties that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gradcheck.errors import RequestError
from gradcheck.settings import several
from gradcheck.settings.validators import Validator
from gradcheck.text.suggestions import did_you_mean
from gradcheck.text.wording import shortened

PREFIX = "GRADCHECK_"
LONGEST_SHOWN = 200
"""Characters of a wrong value or key that a message shows."""


@dataclass(frozen=True)
class Option:
    """One option of a run.

    Attributes:
        name: of its field in `Settings`.
        default: its value if nothing is given.
        validator: the values that it takes; if it is repeated, the allowed value of each.
        help: a sentence or two for `--help` and docs/options.md.
        metavar: the name of its value there.
        keyword: its name in Python; None for an option of the command alone.
        letter: its short flag.
        repeated: whether it takes several values: its flag several times, a list in a file or in Python, or words with
            blanks or commas between them in a variable.
        unset: its default in words, if that is not a value.
        several: whether `gradcheck run` takes several values of it, each of them for other cases.
        of_many: whether only a run of many cases has a use for it.
        replayed: whether the command that runs a case again has it.
        rebased: the meaning of a value in a file, by the file's folder and the value.
    """

    name: str
    default: Any
    validator: Validator
    help: str
    metavar: str
    keyword: str | None
    letter: str = ""
    repeated: bool = False
    unset: str = ""
    several: bool = False
    of_many: bool = False
    replayed: bool = True
    rebased: Callable[[Path, str], str] = lambda folder, value: value

    @property
    def key(self) -> str:
        """Its name in a file."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value."""
        return self.validator.type is bool

    @property
    def expected(self) -> str:
        """Its values in words."""
        return f"a list of {self.key}s, each {self.validator.expected}" if self.repeated else self.validator.expected

    @property
    def default_in_words(self) -> str:
        """Its default in the user's spelling; nothing if there is none, or for a switch that is off."""
        values = self.default if self.repeated else (self.default,)
        return self.unset or ", ".join(plain(each) for each in values if each is not None and each is not False)

    @property
    def default_note(self) -> str:
        """The note about its default in the help."""
        return f"  [default: {self.default_in_words}]" if self.default_in_words else ""

    @property
    def command_help(self) -> str:
        """Its help on the command line."""
        return f"{self.help}{' May be repeated.' if self.repeated else self.several_note}{self.default_note}"

    @property
    def several_note(self) -> str:
        """The note about several values."""
        return f" Several: {several.form(self.validator)}." if self.several else ""

    def read(self, value: Any, written: str, is_text: bool = False) -> Any:
        """Its value in its own type.

        Args:
            value: the given value.
            written: the place and the value as the user wrote them.
            is_text: whether numbers and switches come as text.

        Raises:
            RequestError: with `written` and what was expected.
        """
        try:
            if not self.repeated:
                return self.validator.read(value, is_text)
            return tuple(self.validator.read(each, is_text) for each in msgspec.convert(value, list))
        except UnicodeEncodeError:
            raise RequestError(f"{written}: bytes that are not UTF-8: expected {self.expected}, in UTF-8") from None
        except ValueError:
            raise RequestError(f"{written}: {self._meant(value)}expected {self.expected}") from None

    def read_several(self, value: Any, written: str, is_text: bool = False) -> Any:
        """Its value in its own type, or several values as a tuple or a range; the same as `read` if it takes one.

        Raises:
            RequestError: as `read`, with the wrong one of several values.
        """
        if not self.several:
            return self.read(value, written, is_text)
        pieces = several.pieces(self.validator, value, written)
        if isinstance(pieces, range):
            for end in (pieces[0], pieces[-1]):
                self.read(end, f"{written}: {end}")
            return pieces
        is_one = len(pieces) == 1
        found = dict.fromkeys(
            self.read(each, written if is_one else f"{written}: {shown(each)}", is_text or isinstance(each, str))
            for each in pieces
        )
        return tuple(found) if len(found) > 1 else next(iter(found))

    def words(self, value: Any) -> list[str]:
        """The words of a command line that give a value; none for the value of an absent flag."""
        if self.is_switch:
            return [self.flag] if value else []
        given = value if self.repeated else () if value is None else (value,)
        return [word for each in given for word in (self.flag, str(each))]

    def from_folder(self, folder: Path, value: Any) -> Any:
        """The meaning of a value in a file: its relative paths start from the file's folder."""
        if isinstance(value, list):
            return [self.from_folder(folder, each) for each in value]
        return self.rebased(folder, value) if isinstance(value, str) else value

    def _meant(self, value: Any) -> str:
        if self.repeated and isinstance(value, str):
            return f"did you mean [{shown(value)}]? "
        return did_you_mean(str(value), self.validator.choices)


def plain(value: Any) -> str:
    """A default in the user's spelling."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def shown(value: object) -> str:
    """A wrong value in a message."""
    return shortened(repr(value), LONGEST_SHOWN)
