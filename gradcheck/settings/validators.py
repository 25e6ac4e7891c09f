"""The values that an option takes, and the words in which others are refused."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta


@dataclass(frozen=True)
class Validator:
    """The values that an option takes.

    Attributes:
        type: their type, as msgspec reads it.
        expected: the same in words.
        choices: all of them, if they are names.
        allows: what else must hold of a value of the type.
    """

    type: Any
    expected: str
    choices: tuple[str, ...] = ()
    allows: Callable[[Any], bool] = lambda value: True

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers."""
        return int in (self.type, *get_args(self.type))

    def read(self, value: Any, is_text: bool) -> Any:
        """A value in its own type, read from text where `is_text`.

        Raises:
            ValueError: it is not what is expected; UnicodeEncodeError if it must be in UTF-8 and is not.
        """
        if self.is_whole and not isinstance(value, (bool, int, str)):
            with contextlib.suppress(TypeError):
                value = operator.index(value)  # an integer of NumPy
        converted = msgspec.convert(value, self.type, strict=not is_text)
        if (self.choices and converted not in self.choices) or not self.allows(converted):
            raise ValueError(self.expected)
        return converted


def whole_number(least: int, bits: int) -> Validator:
    """Whole numbers from `least` to 2^bits − 1."""
    return Validator(Annotated[int, Meta(ge=least, le=2**bits - 1)], f"a whole number from {least} to 2^{bits} - 1")


def whole_number_of(*values: int) -> Validator:
    """Some whole numbers."""
    expected = f"{', '.join(map(str, values[:-1]))} or {values[-1]}"
    return Validator(int, expected, allows=lambda value: value in values)


def number(expected: str, allows: Callable[[float], bool]) -> Validator:
    """Some finite numbers."""
    return Validator(float, expected, allows=lambda value: math.isfinite(value) and allows(value))


def one_of(*names: str) -> Validator:
    """Some names."""
    return Validator(str, f"{', '.join(names[:-1])} or {names[-1]}", choices=names)


def pattern(regex: str, expected: str, allows: Callable[[Any], bool] = lambda value: True) -> Validator:
    """Texts of a form, some of them."""
    return Validator(Annotated[str, Meta(pattern=rf"^({regex})$")], expected, allows=allows)


def text(expected: str) -> Validator:
    """Any text."""
    return Validator(str, expected)


def text_in_reports(expected: str) -> Validator:
    """Text that reports show, which are in UTF-8."""
    return Validator(str, expected, allows=lambda value: b"\0" not in value.encode())


def switch() -> Validator:
    """True or false."""
    return Validator(bool, "true or false")
