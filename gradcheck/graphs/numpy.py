"""The front end for losses written in NumPy, `loss(A, B)`.

NumPy passes calls on to values that implement its protocols: ufuncs by NEP 13, most others by NEP 18
(https://numpy.org/neps/nep-0013-ufunc-overrides.html, https://numpy.org/neps/nep-0018-array-function-protocol.html).
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from gradcheck.dtypes import Kind
from gradcheck.graphs import numpy_instead as messages
from gradcheck.graphs import numpy_moving as moving
from gradcheck.graphs.graph import Graph, Shape
from gradcheck.graphs.numpy_moving import dot, reshaped, transpose, word
from gradcheck.graphs.results import checked, finished
from gradcheck.graphs.sources import RecordingError, UnknownAttributeError, user_line
from gradcheck.graphs.values import Recording, Value, operated
from gradcheck.graphs.variables import Variables
from gradcheck.graphs.words.algebra import determinant
from gradcheck.graphs.words.indexing import from_the_front

Function = Callable[..., Any]


class ArrayValue(Value):
    """A value with the methods and protocols of a NumPy array."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = f"np.{ufunc.__name__}"
        if method != "__call__" or ufunc.__name__ not in UFUNCS:
            called_as = name if method == "__call__" else f"{name}.{method}"
            raise RecordingError(f"{user_line()}: {called_as}: {messages.unknown(called_as, KNOWN)}")
        if inputs and options.get("out", (None,))[0] is inputs[0] and ufunc.__name__ in messages.SYMBOLS:
            raise RecordingError(f"{user_line()}: {messages.in_place(messages.SYMBOLS[ufunc.__name__])}")
        return called(name, UFUNCS[ufunc.__name__], inputs, options)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        name = name_of(function)
        if function not in FUNCTIONS:
            raise RecordingError(f"{user_line()}: {name}: {messages.unknown(name, KNOWN)}")
        return called(name, FUNCTIONS[function], arguments, options)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise RecordingError(f"{user_line()}: {messages.no_array()}")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # names with which Python and NumPy test the abilities of an object
            raise AttributeError(name)
        hint = messages.METHOD_HINTS.get(name, "write it with NumPy's functions, or leave it out")
        raise UnknownAttributeError(f"{user_line()}: a value of the problem has no .{name}: {hint}")

    @property
    def T(self) -> Value:  # noqa: N802
        """The axes reversed."""
        return self if self.ndim < 2 else word("permute_dims")(self, range(self.ndim)[::-1])

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise RecordingError(f"{user_line()}: len of a scalar: expected an array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return (self[place] for place in range(len(self)))

    def __abs__(self) -> Value:
        size: Value = word("abs")(self)
        return size

    def __pos__(self) -> Value:
        return self

    def __iadd__(self, other: Any) -> Value:
        return self._again("+", self + other)

    def __isub__(self, other: Any) -> Value:
        return self._again("-", self - other)

    def __imul__(self, other: Any) -> Value:
        return self._again("*", self * other)

    def __itruediv__(self, other: Any) -> Value:
        return self._again("/", self / other)

    def _again(self, symbol: str, result: Value) -> Value:
        """The result of `a += b`: a new number; an array would change under all of its names."""
        if self.shape:
            raise RecordingError(f"{user_line()}: {messages.in_place(symbol)}")
        return result

    def astype(self, dtype: Any, **_: Any) -> Value:
        """Integers, or a condition as 1 and 0, as floats; a run determines the dtype of other values."""
        if self.kind == "floating":
            raise RecordingError(
                f"{user_line()}: a value of the problem has no .astype: {messages.METHOD_HINTS['astype']}"
            )
        kinds = {"boolean": "b", "integer": "iu"}
        numbers: Value = self if np.dtype(dtype).kind in kinds[self.kind] else word("astype")(self)
        return numbers

    def reshape(self, *shape: Any) -> Value:
        """The entries in another shape."""
        return reshaped(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Value:
        """The axes in another order, by default reversed."""
        return transpose(self, axes[0] if len(axes) == 1 else axes or None)


def name_of(function: Any) -> str:
    """The name of a NumPy function in a loss."""
    return f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)


def between(name: str) -> Function:
    """An operator, as a function."""
    return lambda *operands: operated(name, *operands)


signature_of = functools.cache(inspect.signature)
"""The parameters of one of our functions."""


def called(name: str, function: Function, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """The result of our function for the arguments of NumPy's.

    Raises:
        RecordingError: it has no such arguments.
    """
    signature = signature_of(function)
    try:
        signature.bind(*arguments, **options)
    except TypeError:
        expected = f"{name}({', '.join(signature.parameters)})"
        raise RecordingError(f"{user_line()}: {name}: {messages.misfit(arguments, options, expected)}") from None
    return function(*arguments, **options)


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Entries, brought into an interval, which NumPy spells in two ways."""
    low, high = a_min if min is None else min, a_max if max is None else max
    ends = [end for end in (low, high) if end is not None]
    if ends and all(isinstance(end, (int, float)) and np.isfinite(end) for end in ends):
        return word("clip")(a, low, high)
    above = a if low is None else word("maximum")(a, low)
    return above if high is None else word("minimum")(above, high)


def rounded(a: Any, decimals: int = 0) -> Any:
    """The nearest number of so many decimals."""
    return word("round")(a) if decimals == 0 else word("round")(a * 10.0**decimals) / 10.0**decimals


def power(a: Any, exponent: Any) -> Value:
    """aᵇ, of a number b or an array."""
    if not np.ndim(exponent) and not isinstance(exponent, Value):
        return operated("pow", a, exponent.item() if isinstance(exponent, np.ndarray) else exponent)
    return operated("power", a, exponent)


def norm(x: Value, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Value:
    """The Euclidean norm of all entries, or along axes."""
    vector = axis is not None and not isinstance(axis, tuple) if x.ndim > 1 else True
    if ord is not None and not (ord == 2 if vector else ord == "fro"):
        raise RecordingError(f"{user_line()}: np.linalg.norm: ord={ord!r}: {messages.other_norm(ord)}")
    return word("vector_norm")(x, axis, keepdims)  # type: ignore[no-any-return]


def take(a: Any, indices: Any, axis: int | None = None) -> Value:
    """The entries at integers along an axis, or of the flat array."""
    flat = np.ravel(a) if axis is None else a
    size = np.shape(flat)[0 if axis is None else axis]
    return word("take")(flat, from_the_front(indices, size), 0 if axis is None else axis)  # type: ignore[no-any-return]


def take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Value:
    """The entries at integers along an axis, of each row at its own."""
    return word("take_along_axis")(arr, from_the_front(indices, np.shape(arr)[axis]), axis)  # type: ignore[no-any-return]


def full_like(a: Value, fill_value: float, **_: Any) -> Value:
    """A constant array with a value's shape: a backend gives it the dtype of the value, and rounds it to that."""
    return a.recording.constant(np.full(a.shape, fill_value, np.float64))


COMPARISONS: dict[str, Function] = {
    "greater": between("gt"),
    "greater_equal": between("ge"),
    "less": lambda a, b: operated("gt", b, a),
    "less_equal": lambda a, b: operated("ge", b, a),
    "equal": between("eq"),
    "not_equal": between("ne"),
    **dict.fromkeys(("logical_and", "bitwise_and"), between("and")),
    **dict.fromkeys(("logical_or", "bitwise_or"), between("or")),
    **dict.fromkeys(("logical_not", "invert"), between("invert")),
}
OF_SCIPY = ("expit", "erf", "erfc", "gammaln", "digamma", "psi")
"""Functions of entries that are scipy.special's."""
UFUNCS: dict[str, Function] = {
    **{name: word(name) for name in ("exp", "log", "log1p", "expm1", "sqrt", "square", "tanh", "sin", "cos")},
    **{name: word(name) for name in ("maximum", "minimum", "sign", "floor", "ceil")},
    **{name: word(name) for name in ("tan", "sinh", "cosh", "exp2", "log2", "log10")},
    **{f"arc{name}": word(f"a{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "rint": word("round"),
    "arctan2": word("atan2"),
    **{name: word(name) for name in ("hypot", "logaddexp")},
    **COMPARISONS,
    **dict.fromkeys(("absolute", "fabs"), word("abs")),
    "expit": word("sigmoid"),
    **{name: word(name) for name in ("erf", "erfc", "digamma")},
    "gammaln": word("lgamma"),
    "psi": word("digamma"),
    "add": between("add"),
    "subtract": between("sub"),
    "multiply": between("mul"),
    **dict.fromkeys(("divide", "true_divide"), between("truediv")),
    "negative": between("neg"),
    "positive": lambda a: a,
    "matmul": between("matmul"),
    "vecdot": moving.vecdot,
    "power": power,
    "reciprocal": lambda a: operated("truediv", 1.0, a),
}
"""NumPy's functions of entries by name -> their replacements."""

FUNCTIONS: dict[Any, Function] = {
    np.sum: lambda a, axis=None, keepdims=False: word("sum")(a, axis, keepdims),
    np.mean: lambda a, axis=None, keepdims=False: word("mean")(a, axis, keepdims),
    np.prod: lambda a, axis=None, keepdims=False: word("prod")(a, axis, keepdims),
    np.max: lambda a, axis=None, keepdims=False: word("max")(a, axis, keepdims),
    np.min: lambda a, axis=None, keepdims=False: word("min")(a, axis, keepdims),
    np.var: lambda a, axis=None, ddof=0, keepdims=False: word("var")(a, axis, ddof, keepdims),
    np.std: lambda a, axis=None, ddof=0, keepdims=False: word("std")(a, axis, ddof, keepdims),
    np.linalg.norm: norm,
    np.linalg.cholesky: lambda a: word("cholesky")(a),
    np.linalg.solve: lambda a, b: word("solve")(a, b),
    np.linalg.inv: lambda a: word("inv")(a),
    np.linalg.slogdet: determinant,
    np.cumsum: lambda a, axis=None: word("cumulative_sum")(np.ravel(a) if axis is None else a, axis),
    np.cumprod: lambda a, axis=None: word("cumulative_prod")(np.ravel(a) if axis is None else a, axis),
    np.where: word("where"),
    np.sort: lambda a, axis=-1: word("sort")(np.ravel(a) if axis is None else a, -1 if axis is None else axis),
    np.argsort: lambda a, axis=-1: word("argsort")(np.ravel(a) if axis is None else a, -1 if axis is None else axis),
    np.argmax: lambda a, axis=None, keepdims=False: word("argmax")(a, axis, keepdims),
    np.argmin: lambda a, axis=None, keepdims=False: word("argmin")(a, axis, keepdims),
    np.round: rounded,
    np.around: rounded,
    np.any: lambda a, axis=None, keepdims=False: word("any")(a, axis, keepdims),
    np.all: lambda a, axis=None, keepdims=False: word("all")(a, axis, keepdims),
    np.clip: clip,
    np.dot: dot,
    np.inner: moving.inner,
    np.einsum: moving.einsum,
    np.tensordot: moving.tensordot,
    np.pad: moving.pad,
    np.tile: moving.tile,
    np.diagonal: moving.diagonal,
    np.trace: moving.trace,
    np.flip: lambda m, axis=None: word("flip")(m, axis),
    np.fliplr: lambda m: word("flip")(m, 1),
    np.flipud: lambda m: word("flip")(m, 0),
    np.roll: lambda a, shift, axis=None: word("roll")(a, shift, axis),
    np.repeat: lambda a, repeats, axis=None: word("repeat")(a, repeats, axis),
    np.tril: lambda m, k=0: word("tril")(m, k),
    np.triu: lambda m, k=0: word("triu")(m, k),
    np.vdot: lambda a, b: dot(np.ravel(a), np.ravel(b)),
    np.outer: lambda a, b: word("outer")(a, b),
    np.transpose: transpose,
    np.reshape: reshaped,
    np.ravel: lambda a: reshaped(a, -1),
    np.expand_dims: moving.expand_dims,
    np.squeeze: moving.squeeze,
    np.broadcast_to: lambda array, shape: word("broadcast_to")(array, shape if np.ndim(shape) else (shape,)),
    np.moveaxis: moving.moveaxis,
    np.swapaxes: moving.swapaxes,
    np.concatenate: lambda arrays, axis=0: word("concat")(arrays, axis),
    np.stack: lambda arrays, axis=0: word("stack")(arrays, axis),
    np.take: take,
    np.take_along_axis: take_along_axis,
    np.vstack: moving.vstack,
    np.hstack: moving.hstack,
    np.split: moving.split,
    np.copy: lambda a: a,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.zeros_like: lambda a, **_: full_like(a, 0.0),
    np.ones_like: lambda a, **_: full_like(a, 1.0),
    np.full_like: full_like,
}
"""NumPy's other functions -> their replacements."""
for _old, _new in (("amax", np.max), ("amin", np.min)):  # functions of their own before NumPy 1.25
    FUNCTIONS.setdefault(getattr(np, _old), FUNCTIONS[_new])

METHODS = {
    **{name: getattr(np, name) for name in ("sum", "prod", "mean", "max", "min", "var", "std", "clip")},
    **{name: getattr(np, name) for name in ("dot", "squeeze", "argsort", "argmax", "argmin")},
    "any": np.any,
    "all": np.all,
    "ravel": np.ravel,
    "flatten": np.ravel,
    "copy": np.copy,
    "swapaxes": np.swapaxes,
    "repeat": np.repeat,
    "diagonal": np.diagonal,
    "trace": np.trace,
}
"""Methods of arrays that are functions of NumPy."""


def _method(function: Function) -> Function:
    def method(self: ArrayValue, *arguments: Any, **options: Any) -> Any:
        return function(self, *arguments, **options)

    return method


for _name, _function in METHODS.items():
    setattr(ArrayValue, _name, _method(_function))

KNOWN = sorted(
    {f"{'scipy.special' if name in OF_SCIPY else 'np'}.{name}" for name in UFUNCS}
    | {name_of(function) for function in FUNCTIONS}
)
"""Every function that a loss may use, for messages."""


def in_numpy(message: str) -> str:
    """A message about words of ``ops``, in NumPy's names."""
    for word_of_ops, name in (
        ("words of ops", "NumPy's functions"),
        ("ops.concat ", "np.concatenate "),
        ("ops.", "np."),
    ):
        message = message.replace(word_of_ops, name)
    return message


def record(loss: Function, shapes: Mapping[str, Shape], kinds: Mapping[str, Kind]) -> Graph:
    """The graph of `loss(**inputs)`; see `gradcheck.graphs.record`.

    It watches the loss's variables, with their values when the loss returns, under their names. It does not watch a
    variable that is assigned twice, or in a loop: a hand-written gradient may mean another of its values.
    """
    variables = Variables(loss)
    recording = Recording(ArrayValue, variables.note)
    inputs = recording.inputs(shapes, kinds)
    try:
        result = checked(loss, loss(**inputs), "np.sum")
        values = reversed(variables.values().items())
        names = {value.index: name for name, value in values if isinstance(value, Value)}
        return finished(loss, recording, result, names)
    except RecordingError as error:
        raise type(error)(in_numpy(str(error))) from error
    except ValueError as error:
        if not isinstance(error.__cause__, RecordingError):
            raise
        # When code sets an entry of an array to a value, NumPy requests the value's number, and hides the error.
        where = str(error.__cause__).partition(": ")[0]
        fault = "a NumPy array cannot hold a value of the problem"
        raise RecordingError(f"{where}: {fault}: {messages.PIECES}") from error
