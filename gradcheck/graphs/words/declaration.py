"""The declaration of a word: a function of its arguments that gives the shape of its result."""

from __future__ import annotations

import inspect
import operator
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from gradcheck.dtypes import Kind
from gradcheck.graphs.graph import Attribute, Shape, Slice
from gradcheck.graphs.instead import ARGUMENTS, described
from gradcheck.graphs.sources import RecordingError, user_line
from gradcheck.graphs.values import Value, operated
from gradcheck.graphs.vocabulary import OPERATORS, VOCABULARY
from gradcheck.text.suggestions import did_you_mean

Rule = Callable[..., Shape]
"""Values and attributes -> the shape of the result; raises TypeError, ValueError or IndexError where they do not fit.

The annotations of its parameters state what they take: `Value` a value or an array, `Operand` a number too, `Values` a
list of values, `Condition` booleans, `Entries` a value of any kind, `Comparable` and `Arithmetic` integers if all of
them are, or else floats, `Indices` integers, `IndexList` a tuple of them; all others are attributes. Operands that
may be None come last. Integers and conditions become floats where floats are taken. A rule that returns
`ShapeOfIntegers` makes integers.
"""
OPERANDS = ("Value", "Operand", "Values", "Condition", "Entries", "Comparable", "Arithmetic", "Indices", "IndexList")
NUMBERS = ("Value", "Operand", "Values", "Comparable", "Arithmetic")
COUNTING = ("sum", "mean")
"""Words of which NumPy too makes numbers for conditions alone; it combines them to further ones elsewhere."""
ARRAYS = ("Value", "Entries")
LARGEST_WHOLE = 2**53
"""Up to it float64 has all integers."""


class Word:
    """One word of the vocabulary, or one operator.

    Args:
        name: as the graph spells it.
        title: as a problem spells it, for messages.
        rule: gives the shape of the result.
        makes: the kind of the result; None where it is that of the first operand.
    """

    def __init__(self, name: str, title: str, rule: Rule, makes: Kind | None) -> None:
        self.name = name
        self.title = title
        self.rule = rule
        self.makes = makes
        self.symbol = title.removeprefix("operator ")
        self.__doc__ = rule.__doc__
        kinds = kinds_of(rule)
        self._kinds = {each: kinds[each].removesuffix(" | None") for each in kinds}

    def __call__(self, *arguments: Any, **options: Any) -> Value:
        """Record it.

        Raises:
            RecordingError: the arguments do not fit; the message begins with the user's line.
        """
        try:
            return self._recorded(self._signature.bind(*arguments, **options).arguments)
        except RecordingError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            reason = self._misfit(arguments, options) or str(error)
            raise RecordingError(f"{user_line()}: {self.title}: {reason}") from error

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.rule)

    @cached_property
    def signature(self) -> str:
        """Its title and parameters, without their types."""
        parameters = self._signature.parameters.values()
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
        empty = inspect.Signature.empty
        return f"{self.title}{self._signature.replace(parameters=plain, return_annotation=empty)}"

    def _recorded(self, arguments: Mapping[str, Any]) -> Value:
        given = {name: value for name, value in arguments.items() if not self._is_left_out(name, value)}
        flat = [each for name, value in given.items() for each in self._operands(name, value)]
        first = next((each for each in flat if isinstance(each, Value)), None)
        if first is None:
            raise TypeError(f"got {', '.join(map(described, flat))}: expected a value of the problem")
        self._check_conditions(given)
        integral = all(INTEGRAL[kind](given[name]) for name, kind in self._kinds.items() if kind in INTEGRAL)
        lifted = {
            name: self._lifted(name, value, first, integral) if self._kinds[name] in OPERANDS else plain(value)
            for name, value in given.items()
        }
        bound = inspect.BoundArguments(self._signature, OrderedDict(lifted))
        shape = self.rule(*bound.args, **bound.kwargs)
        operands = [each for name, value in lifted.items() for each in self._operands(name, value)]
        attributes = {name: value for name, value in lifted.items() if self._kinds[name] not in OPERANDS}
        kind = self.makes or operands[0].kind
        return first.recording.add(self.name, operands, self._written(attributes), shape, kind)

    def _is_left_out(self, name: str, value: Any) -> bool:
        """Whether an argument is an operand that may be None, and is."""
        return value is None and self._kinds[name] in OPERANDS and self._signature.parameters[name].default is None

    def _check_conditions(self, given: Mapping[str, Any]) -> None:
        """Refuse conditions without a number beside them: what NumPy makes of them is a condition too."""
        names = [name for name in given if self._kinds[name] in NUMBERS]
        numbers = [each for name in names for each in self._operands(name, given[name])]
        if numbers and self.name not in COUNTING and all(map(_is_condition, numbers)):
            expected = "expected numbers; write ops.where(condition, 1.0, 0.0), or combine conditions by & | ~"
            raise TypeError(f"got {' and '.join(['a condition'] * len(numbers))}: {expected}")

    def _operands(self, name: str, value: Any) -> list[Any]:
        kind = self._kinds[name]
        if kind == "Values":
            return list(value) if isinstance(value, (list, tuple)) else [value]
        if kind == "IndexList":
            return list(value) if isinstance(value, tuple) else [value]
        return [value] if kind in OPERANDS else []

    def _lifted(self, name: str, value: Any, beside: Value, integral: bool) -> Any:
        """An argument as values of the recording."""
        kind = self._kinds[name]
        if kind in INTEGRAL and integral:
            return value if isinstance(value, Value) else beside.recording.constant(value, "integer")
        if kind in ("Indices", "IndexList"):
            indices = tuple(_indices(each, beside) for each in self._operands(name, value))
            return indices if kind == "IndexList" else indices[0]
        if kind == "Values":
            if not isinstance(value, (list, tuple)) or not value:
                raise TypeError(f"got {described(value)}: expected a list of values of the problem, such as [a, b]")
            return [_lifted(each, beside, "Value") for each in value]
        return _lifted(value, beside, kind)

    def _written(self, attributes: Mapping[str, Any]) -> dict[str, Attribute]:
        """The attributes that differ from the signature's defaults."""
        parameters = self._signature.parameters
        return {name: as_tuple(value) for name, value in attributes.items() if value != parameters[name].default}

    def _misfit(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str | None:
        """Why the arguments of a call do not fit the word, or None if they do."""
        for option in options:
            if option not in self._kinds:
                known = ARGUMENTS.get(option)
                hint = f"write {known}; " if known in self._kinds else did_you_mean(option, self._kinds)
                return f"no argument {option!r}: {hint}expected {self.signature}"
        try:
            bound = self._signature.bind(*arguments, **options)
        except TypeError:
            count = len(arguments) + len(options)
            return f"called with {count} argument{'' if count == 1 else 's'}: expected {self.signature}"
        for name, value in bound.arguments.items():
            if self._is_left_out(name, value):
                continue
            if self._kinds[name] in ARRAYS and not isinstance(value, (Value, np.ndarray, list)):
                return f"{name} is {described(value)}: expected a value of the problem"
        return None


def _lifted(value: Any, beside: Value, kind: str) -> Value:
    """An argument as a value of the recording; among floats integers are floats, and a condition is 1 or 0."""
    lifted = value if isinstance(value, Value) else beside.recording.constant(value)
    if kind in ARRAYS and not isinstance(value, (Value, np.ndarray, list)):
        raise TypeError(f"got {described(value)}: expected a value of the problem")
    if kind == "Condition" and lifted is not value and _is_condition(value):
        return operated("gt", lifted, 0.5)
    if kind == "Condition" and not lifted.is_condition:
        expected = "expected a condition: a comparison, such as a > 0, or booleans that sample gives"
        raise TypeError(f"got {described(lifted)}: {expected}")
    if kind in NUMBERS and lifted.kind != "floating":
        numbers: Value = VOCABULARY["astype"](lifted)
        return numbers
    return lifted


def _indices(value: Any, beside: Value) -> Value:
    """Integers as a value of the recording."""
    if isinstance(value, Value) and value.kind == "integer":
        return value
    array = None if isinstance(value, Value) else np.asarray(value)
    if array is None or array.ndim == 0 or array.dtype.kind not in "iu":
        expected = "expected integers that sample gives, or an array of integers"
        raise TypeError(f"the indices are {described(value)}: {expected}")
    return beside.recording.constant(array, "integer")


def _is_condition(value: Any) -> bool:
    """Whether an operand is a condition, or booleans of the loss itself."""
    return value.is_condition if isinstance(value, Value) else bool(np.asarray(value).dtype == np.bool_)


def _is_integer(value: Any, kinds: str = "iu") -> bool:
    """Whether an operand is made of integers, or of those of the loss itself."""
    if isinstance(value, Value):
        return value.kind == "integer"
    array = np.asarray(value)
    return array.dtype.kind in kinds and bool(
        np.all(np.abs(array) <= LARGEST_WHOLE) and np.all(np.rint(array) == array)
    )


def _is_whole(value: Any) -> bool:
    """The same, where floats that are whole numbers count too."""
    return _is_integer(value, "iuf")


INTEGRAL = {"Comparable": _is_whole, "Arithmetic": _is_integer}
"""What may be integers -> whether an argument is."""


def plain(value: Any) -> Any:
    """An attribute in the graph: whole numbers of any kind as int, slices and ... as data."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, slice):
        return Slice(
            *(each if each is None else operator.index(each) for each in (value.start, value.stop, value.step))
        )
    if value is ...:
        return "..."
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    return operator.index(value) if hasattr(value, "__index__") else value


def as_tuple(value: Any) -> Any:
    """Lists as tuples, those within them too."""
    return tuple(map(as_tuple, value)) if isinstance(value, (list, range, tuple)) else value


def word(rule: Rule) -> Word:
    """Put a rule into the vocabulary under its name, without a trailing underscore."""
    name = rule.__name__.rstrip("_")
    VOCABULARY[name] = declared = Word(name, f"ops.{name}", rule, makes_of(rule))
    return declared


def makes_of(rule: Rule) -> Kind | None:
    """The kind of what a word makes: where it takes entries of any kind, or makes integers of integers, theirs."""
    if rule.__annotations__["return"] == "ShapeOfIntegers":
        return "integer"
    return "floating" if {"Entries", "Arithmetic"}.isdisjoint(kinds_of(rule).values()) else None


def kinds_of(rule: Rule) -> dict[str, str]:
    """The kinds of a rule's parameters, as its file spells them; a signature of each rule would cost 3 ms."""
    return {name: kind for name, kind in rule.__annotations__.items() if name != "return"}


def operation(symbol: str, makes: Kind | None = None) -> Callable[[Rule], Word]:
    """Give a rule to an operator of the problem's values."""

    def enter(rule: Rule) -> Word:
        name = rule.__name__.rstrip("_")
        OPERATORS[name] = declared = Word(name, f"operator {symbol}", rule, makes or makes_of(rule))
        return declared

    return enter
