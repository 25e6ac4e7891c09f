"""Check a function in JAX, in your own process.

>>> import jax
>>> from gradcheck.jax import check
>>> x, w = jax.random.normal(jax.random.key(0), (2, 3, 3))
>>> check(lambda x, w: jax.nn.gelu(x @ w), (x, w)).assert_agrees()
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack, overload

try:
    import jax
except ModuleNotFoundError as error:
    from gradcheck.errors import not_installed

    raise not_installed(error) from None

from gradcheck.answers import BackendAnswer
from gradcheck.backends import _jax_calls as calls
from gradcheck.backends import _jax_export as export
from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._jax_bodies import raised_at
from gradcheck.backends._worker.comparison import differences
from gradcheck.backends.jax_forward import LACKS as FORWARD_LACKS
from gradcheck.dtypes import DTYPES
from gradcheck.errors import RequestError, WithoutFrames
from gradcheck.graphs import Graph, RecordingError
from gradcheck.graphs.graph import COTANGENT, OUTPUT
from gradcheck.graphs.jax import record
from gradcheck.results import Report
from gradcheck.runs import in_process
from gradcheck.runs.function_sources import BackwardPass
from gradcheck.runs.in_process import Reports
from gradcheck.settings import Settings

__all__ = ["check"]

Mode = Callable[..., Answer]
"""A method of `JaxCall` with the arguments of `JaxCall.answer`."""
FUSED = "jax"
"""The engine whose formats hold: a compiled function may keep more digits between its steps than an array shows."""


class JaxOptions(in_process.CommonOptions, total=False):
    """The options of `check` by keyword, beside dtypes."""

    argnums: int | Sequence[int] | None


@overload
def check(
    function: Callable[..., Any], inputs: Any, *, dtypes: None = None, **options: Unpack[JaxOptions]
) -> Report: ...
@overload
def check(
    function: Callable[..., Any], inputs: Any, *, dtypes: Iterable[Any], **options: Unpack[JaxOptions]
) -> Reports: ...
def check(
    function: Callable[..., Any],
    inputs: Any,
    *,
    reference: Callable[..., Any] | None = None,
    dtypes: Iterable[Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    forward: bool = False,
    check_batched: bool = False,
    order: int = 1,
    seed: int = 0,
    gate: str = "rounding",
) -> Report | Reports:
    """Evaluate a function and its gradients in this process, and judge them.

    The function is called as it is: a lambda, a closure, a method, `functools.partial`, a jitted function, one with a
    `jax.custom_vjp` or `jax.custom_jvp`. Its gradients are those of `jax.vjp`. The truth is that of the reference's
    forward pass, or of the function's own, which `jax.make_jaxpr` records: docs/jax.md lists its primitives.

    Args:
        function: what is checked. Its results are arrays, or trees of them.
        inputs: its arguments: a tuple, a dictionary of those by keyword, or a single array. They may be trees, such as
            dictionaries of parameters. Floating arrays are checked, in their own dtype: float64, float32, float16 or
            bfloat16. Python's numbers stay numbers.
        reference: the same function of the same inputs, in plain operators.
        dtypes: some of these, or "all". For each, every floating array of the arguments is cast to it, rounded to
            nearest.
        argnums: the arguments by position whose arrays are checked, as in `jax.grad`; left out: all.
        forward: whether gradients of forward mode, `jax.jvp` along each unit vector, are judged too.
        check_batched: whether gradients are judged too that `jax.vmap` computes for a batch of cotangents; with
            `forward`, derivatives along a batch of unit vectors too.
        order: 1 judges gradients, 2 in their place the product of the Hessian and a direction v: the derivatives of
            v·∇L by the inputs, and by the cotangents, on which a backward pass depends too.
        seed: of the cotangents of all results, and of v.
        gate: "proved" refuses only proved errors, "formula" no lost digits, "rounding" also errors beyond rounding.

    Returns:
        The report; with `dtypes`, a dictionary of a report for each. `.assert_agrees()` of both raises an
        AssertionError with the finding.

    Raises:
        RequestError: no input is a floating array, dtypes differ, or the function cannot be recorded.
    """
    __tracebackhide__ = True
    with WithoutFrames():
        asked = in_process.checked_options(seed=seed, gate=gate, order=order)
        modes = _modes(order, forward, check_batched)
        place = in_process.place_of(sys._getframe(1))

        def in_dtype(cast: str | None) -> Report:
            with _having(cast):
                arguments, options = calls.cast(jax, in_process.as_arguments(inputs), cast)
                call = calls.JaxCall(jax, function, arguments, options)
                plain = call if reference is None else calls.JaxCall(jax, reference, arguments, options, call.names)
                return _report(call, plain, _wanted(call, argnums), modes, asked, place)

        return in_process.in_each(dtypes, in_dtype)


def _having(dtype: str | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which JAX has a dtype: float64 it may not have."""
    return calls.with_float64(jax) if dtype == "float64" else contextlib.nullcontext()


def _modes(order: int, forward: bool, check_batched: bool) -> dict[str, Mode]:
    """The requested modes beside that of `jax.vjp`, by their names in the report.

    Raises:
        RequestError: order 2 has none.
    """
    for option, wanted in {"forward": forward, "check_batched": check_batched}.items():
        if wanted and order == 2:
            raise RequestError(f"{option}=True with order=2: expected one of the two")
    modes: dict[str, tuple[Mode, bool]] = {
        "batched": (calls.JaxCall.batched_answer, check_batched),
        "forward": (calls.JaxCall.forward_answer, forward),
        "forward batched": (functools.partial(calls.JaxCall.forward_answer, batch=True), forward and check_batched),
    }
    return {name: mode for name, (mode, wanted) in modes.items() if wanted}


def _report(
    call: calls.JaxCall,
    plain: calls.JaxCall,
    wrt: tuple[str, ...],
    modes: Mapping[str, Mode],
    options: Settings,
    place: tuple[str, int],
) -> Report:
    """The report on a call, with the truth of another one, or of itself.

    Raises:
        RequestError: the function cannot be recorded, or lacks what is requested.
    """
    dtype, name = _dtype_of({name: call.floating[name] for name in wrt}), calls.name_of(call.function)
    if "forward" in modes and dtype in FORWARD_LACKS:
        raise RequestError(f"forward=True in {dtype}: {FORWARD_LACKS[dtype]}: expected forward=False")
    graph, arrays = _truth(plain, wrt, dtype, is_own=plain is call)
    file, line = place
    asked = in_process.Function(
        name=name,
        file=calls.file_of(call.function) or file,
        call=f"{file}:{line}",
        graph=graph,
        wrt=wrt,
        inputs=arrays,
        evaluate=functools.partial(_answer, call, calls.JaxCall.answer, graph, wrt),
        started=in_process.started("jax", jax.__version__),
        fused=FUSED,
        device=str(next(iter(call.floating[wrt[0]].devices()))),
        has_reference=plain is not call,
        rules=lambda: [BackwardPass(*lines) for lines in calls.rules_of(call.function)],
        modes={name: functools.partial(_answer, call, mode, graph, wrt) for name, mode in modes.items()},
    )
    try:
        return in_process.check(asked, dtype, options)
    except Malformed as error:
        raise RequestError(f"{name}: {error}") from None


def _wanted(call: calls.JaxCall, argnums: int | Sequence[int] | None) -> tuple[str, ...]:
    """The names of the floating arrays among the arguments of some positions.

    Raises:
        RequestError: there is none, or an argument has no such position.
    """
    places = None if argnums is None else (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for place in places or ():
        if not isinstance(place, int):
            raise RequestError(f"argnums={argnums!r}: expected the numbers of arguments by position, such as (0, 1)")
        if not -len(call.names) <= place < len(call.names):
            raise RequestError(f"argnums={place}: the function has {len(call.names)} arguments by position")
    chosen = None if places is None else tuple(call.names[place] for place in places)
    found = tuple(name for name in call.floating if chosen is None or name.partition("[")[0] in chosen)
    if not any(call.floating[name].size for name in found):
        raise RequestError("no input is a floating array with entries: expected jax.numpy arrays of floats to check")
    return found


def _dtype_of(arrays: Mapping[str, Any]) -> str:
    """The dtype of the arrays to check.

    Raises:
        RequestError: there are several dtypes, or it is none of the four.
    """
    found = list(dict.fromkeys(str(each.dtype) for each in arrays.values()))
    if len(found) > 1:
        raise RequestError(
            f"the inputs have dtypes {', '.join(found)}: expected one dtype, or argnums= for some of them"
        )
    if found[0] not in DTYPES:
        raise RequestError(f"the inputs have dtype {found[0]}: expected one of {', '.join(DTYPES)}")
    return found[0]


def _truth(call: calls.JaxCall, wrt: Sequence[str], dtype: str, is_own: bool) -> tuple[Graph, dict[str, Any]]:
    """The graph of the reference, or of the function itself, and the arrays of its inputs.

    Raises:
        RequestError: it cannot be recorded.
    """
    others = {name: each for name, each in call.floating.items() if name not in wrt}
    constants = [name for name, each in others.items() if jax.numpy.isinf(each).any()]
    try:
        dump = export.dumped(jax, call.labelled, call.arrays, constants)
        graph = record(dump, dtype)
    except export.Untraceable as error:
        joined = ", or" if ": expected" in str(error) else ": expected"
        instead = f"{joined} reference= with the same function in plain operators" if is_own else ""
        raise RequestError(f"{calls.name_of(call.function)}: JAX cannot record it: {error}{instead}") from error
    except RecordingError as error:
        raise RequestError(str(error)) from error
    return graph, {each: dump["arrays"][each] for each in graph.inputs if each in dump["arrays"]}


def _answer(
    call: calls.JaxCall, mode: Mode, graph: Graph, wrt: Sequence[str], dtype: str, given: Mapping[str, Any]
) -> BackendAnswer:
    """The answer of the function, which is evaluated twice."""
    outputs = {label.removeprefix(OUTPUT): name for label, name in graph.output_names.items()}
    cotangents = {label: given[COTANGENT + label] for label in outputs}
    directions = {name: given[along] for name, along in in_process.directions(wrt).items() if along in given}

    def evaluated() -> Answer:
        if directions:
            return call.product(dtype, outputs, cotangents, wrt, directions)
        return mode(call, dtype, outputs, cotangents, wrt)

    try:
        with _having(dtype):
            first, again = evaluated(), evaluated()
    except (Malformed, RequestError):
        raise
    except Exception as error:  # of the user's code
        why = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise RequestError(f"{calls.name_of(call.function)}: {raised_at(jax, error)}{why}") from error
    return BackendAnswer(first.loss, first.gradients, first.values, varies=dict(differences(first, again)))
