"""A problem's hand-written gradients, each a backend of its own: usually the code under test."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Engine, Malformed, Unavailable, Unsupported
from gradcheck.backends._worker.outputs import COTANGENT, Outputs, described

if TYPE_CHECKING:
    import numpy as np

    from gradcheck.backends._engine import Arrays

MODULE = "numpy"
DIRECTION = "direction"
LONGDOUBLE = "longdouble"
"""The dtype of the second run of a gradient that differs: float64 inputs and outputs, computed in NumPy's widest."""
BFLOAT16 = "bfloat16"
FORMATS: dict[str, dict[str, Any]] = {"float64": {}, "float32": {}, "float16": {}, BFLOAT16: {}}
"""Each dtype's own rounding, that of its sums included, since a gradient may have loops of its own.

ml_dtypes computes an operation of bfloat16 in float32 and rounds once more, which is one rounding for `+ - * /` and
`sqrt` (24 ≥ 2·8 + 2 bits, S. Figueroa, 1995). `np.sum` adds in bfloat16 from first to last; `@` answers in float32.
"""
KINDS = {"c": "complex numbers", "O": "Python objects", "U": "strings", "S": "bytes", "M": "dates", "m": "times"}


@dataclasses.dataclass(frozen=True)
class Subject:
    """The functions that a problem's file names, and what they get and return.

    Attributes:
        functions: its `gradients`, or its `hessian_products` in a case of order 2.
        outputs: of its loss.
        directions: input -> the input that is its direction; empty in a case of order 1.
    """

    functions: Mapping[str, Any]
    outputs: Outputs
    directions: Mapping[str, str]

    @classmethod
    def of(cls, problem: Any, graph: Mapping[str, Any]) -> Subject:
        """The functions of a problem's module for `graph` of a request."""
        directions = graph.get("directions", {})
        functions = getattr(problem, "hessian_products" if directions else "gradients", {})
        return cls({name: function_of(each) for name, each in functions.items()}, Outputs(graph), directions)

    @property
    def returns_outputs(self) -> bool:
        """Whether a function returns the outputs of the loss first, and not one number."""
        return bool(self.outputs) and not self.directions

    @property
    def form(self) -> str:
        """What a function must return."""
        if self.directions:
            return 'expected (v·∇L, {"W": the part of Hv that belongs to W, ...}) for the direction v'
        first = "outputs" if self.outputs else "loss"
        return f'expected ({first}, {{"W": dL/dW, ...}}), with the watched values as an optional third'

    def arguments(self, inputs: Arrays) -> dict[str, Any]:
        """The arguments of a function: the inputs, the cotangents of outputs, and the direction."""
        own = {name: array for name, array in inputs.items() if name not in self.directions.values()}
        arguments = self.outputs.arguments(own)
        if self.directions:
            arguments[DIRECTION] = {name: inputs[along] for name, along in self.directions.items()}
        return arguments

    def expected(self, arguments: Mapping[str, Any]) -> str:
        """What a function must take."""
        expected = f"expected ({', '.join(arguments)}), the inputs{renaming(arguments)}"
        if self.outputs:
            expected += f" and the {COTANGENT}: the loss returns {self.outputs}, so L is Σ {COTANGENT} · output"
        return f"{expected} and the {DIRECTION}, arrays by name" if self.directions else expected


def function_of(declared: Any) -> Any:
    """A function of a problem's file, also of a pair of an engine's name and the function."""
    return declared[1] if isinstance(declared, tuple) else declared


class HandWritten(Engine):
    """The functions that a problem's `gradients` names.

    Args:
        gradient: the name of one of them.
    """

    def __init__(self, gradient: str) -> None:
        import numpy

        self.numpy = numpy
        self.version = f"NumPy {numpy.__version__}"
        self.gradient = gradient

    def evaluate(self, subject: Any, inputs: Arrays, wrt: Sequence[str], dtype: str) -> Answer:
        if self.gradient not in subject.functions:
            key = "hessian_products" if subject.directions else "gradients"
            raise Unsupported(f"the file has no {key}[{self.gradient!r}]")
        function = subject.functions[self.gradient]
        where = line_of(function)
        given = self.converted(inputs, dtype)
        try:
            answer = self.answer(self.returned(function, subject, given, inputs, dtype), inputs, subject)
            for name, array in inputs.items():
                if given[name] is not array:
                    array[...] = self.changed(given[name])  # the caller finds what the function has changed
            if dtype == LONGDOUBLE:
                self.refuse_narrower(answer)
            return answer
        except Malformed as error:
            raise Malformed(f"{where}: {error}") from None

    def converted(self, inputs: Arrays, dtype: str) -> Arrays:
        """The inputs as a function gets them: floats in `dtype`, where messages have them in another one.

        Raises:
            Unavailable: this interpreter has no bfloat16.
        """
        if dtype == LONGDOUBLE:
            own = self.numpy.dtype(self.numpy.longdouble)
        elif dtype == BFLOAT16:
            own = bfloat16()
        else:
            return inputs
        return {name: array.astype(own) if array.dtype.kind == "f" else array for name, array in inputs.items()}

    def changed(self, given: Any) -> np.ndarray:
        """An input after the call, as the caller has it."""
        return given  # type: ignore[no-any-return]

    def returned(self, function: Any, subject: Subject, given: Arrays, inputs: Arrays, dtype: str) -> Any:
        """The return value of a function for the inputs as it gets them; of bfloat16, `inputs` has them in float32.

        Raises:
            Unsupported: it needs what NumPy lacks for bfloat16: it works with the same numbers in float32.
            Malformed: it does not take the inputs by their names.
        """
        try:
            return called(function, subject.arguments(given), subject)
        except Malformed:
            raise
        except Exception as error:
            if dtype != BFLOAT16 or not works(function, subject.arguments(inputs)):
                raise
            line, message = self.last_line(error), str(error) or type(error).__name__
            expected = "expected this step in float32, with .astype(np.float32)"
            raise Unsupported(f"{line}: NumPy lacks this for bfloat16 ({message}): {expected}") from error

    def last_line(self, error: Exception) -> str:
        """`file:line: text` of the last line outside of NumPy through which an exception came."""
        ours = tuple(os.path.dirname(each) + os.sep for each in (self.numpy.__file__, os.path.dirname(__file__)))
        lines = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(ours)]
        return f"{lines[-1].filename}:{lines[-1].lineno}: {lines[-1].line}" if lines else self.gradient

    def answer(self, returned: Any, inputs: Arrays, subject: Subject) -> Answer:
        """A function's return value as an answer.

        Raises:
            Malformed: it is not a valid answer.
        """
        if not isinstance(returned, (tuple, list)):
            hint = ": is a return missing?" if returned is None else ""
            raise Malformed(f"returned {described(returned)}{hint}: {subject.form}")
        if len(returned) not in (2, 3):
            raise Malformed(f"returned {len(returned)} things: {subject.form}")
        for position, each in enumerate(returned[1:], 1):
            if not isinstance(each, Mapping):
                what = "gradients" if position == 1 else "watched values"
                raise Malformed(f"returned {described(each)} as {what}: {subject.form}")
            if unnamed := [key for key in each if not isinstance(key, str)]:
                raise Malformed(f"returned {described(unnamed[0])} as a name: expected names of inputs as strings")
        first, derivatives, *more = returned
        values = {name: self.array(value, name) for name, value in (more[0] if more else {}).items()}
        if subject.returns_outputs:
            separated = subject.outputs.separated(first)
            values.update({name: self.array(value, name) for name, value in separated.items()})
            loss = subject.outputs.loss(values, inputs)
        else:
            loss = self.array(first, "the loss")
        arrays = {name: self.array(array, f"dL/d{name}") for name, array in derivatives.items()}
        return Answer(
            loss=loss,
            gradients={name: array for name, array in arrays.items() if name in inputs},
            values=values,
            adjoints={name: array for name, array in arrays.items() if name not in inputs},
        )

    def refuse_narrower(self, answer: Answer) -> None:
        """Refuse an answer that shows nothing about its precision.

        Raises:
            Unsupported: a gradient is narrower than the inputs, so that something rounded it.
        """
        for name, array in answer.gradients.items():
            if array.dtype != self.numpy.longdouble:
                raise Unsupported(f"your gradient converts to {array.dtype}, in dL/d{name}")

    def array(self, value: Any, what: str) -> np.ndarray:
        """A returned value as an array.

        Raises:
            Malformed: it holds no real numbers.
        """
        expected = "expected an array of real numbers" if what != "the loss" else "expected a real number"
        if value is None or isinstance(value, (str, bytes, Mapping)):
            raise Malformed(f"{what} is {described(value)}: {expected}")
        try:
            array = self.numpy.asarray(value)
        except Exception as error:
            raise Malformed(
                f"{what} is {described(value)} that is not an array ({str(error).splitlines()[0]}): {expected}"
            ) from None
        if is_bfloat16(array):
            return array.astype(self.numpy.float32)
        if array.dtype.kind not in "fiub":
            kind = KINDS.get(array.dtype.kind, str(array.dtype))
            raise Malformed(f"{what} is an array of {kind}: {expected}{hint_for(array.dtype.kind)}")
        return array


def bfloat16() -> np.dtype[Any]:
    """NumPy's dtype for bfloat16, which a package beside NumPy has.

    Raises:
        Unavailable: this interpreter has no such package.
    """
    try:
        import ml_dtypes
    except ImportError:
        where = f"{sys.executable} has no package ml_dtypes, NumPy's bfloat16"
        raise Unavailable(f"{where}: expected an interpreter with it: pip install ml_dtypes") from None
    import numpy

    own: np.dtype[Any] = numpy.dtype(ml_dtypes.bfloat16)
    return own


def is_bfloat16(array: np.ndarray) -> bool:
    """Whether an array's entries are of bfloat16, a dtype that NumPy itself does not have."""
    return bool(array.dtype.name == BFLOAT16)


def works(function: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a function returns at all."""
    try:
        function(**arguments)
    except Exception:
        return False
    return True


def called(function: Any, arguments: Mapping[str, Any], subject: Subject) -> Any:
    """The return value of a function for its arguments.

    Raises:
        Malformed: it does not take them by their names.
    """
    try:
        return function(**arguments)
    except TypeError:
        if takes(function, arguments):
            raise
        raise Malformed(f"takes {inspect.signature(function)}: {subject.expected(arguments)}") from None


def takes(function: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a function can be called with these arguments, as far as its signature shows."""
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def hint_for(kind: str) -> str:
    """What to write instead if an array's entries are not real numbers."""
    if kind == "c":
        return "; write array.real where the imaginary part is rounding"
    return "; write np.stack, or a list of rows of the same length" if kind == "O" else ""


def renaming(arguments: Iterable[str]) -> str:
    """What to write where the names of inputs, which are paths in a module or a tree, cannot be parameters."""
    paths = [name for name in arguments if not name.isidentifier()]
    return f"; write names = {{{paths[0]!r}: 'w', ...}} for names that parameters can have" if paths else ""


def line_of(function: Any) -> str:
    """`file:line: name` of a function."""
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}: {name}" if code else name
