"""Check a function or a module in PyTorch, in your own process.

>>> import torch
>>> from gradcheck.torch import check
>>> x, w = (torch.randn(3, 3, requires_grad=True) for _ in range(2))
>>> check(lambda x, w: torch.tanh(x @ w), (x, w)).assert_agrees()
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Unpack, overload

import numpy as np

try:
    import torch
except ModuleNotFoundError as error:
    from gradcheck.errors import not_installed

    raise not_installed(error) from None

from gradcheck.answers import BackendAnswer
from gradcheck.backends import _torch_callables as callables
from gradcheck.backends import _torch_calls as calls
from gradcheck.backends import _torch_derivatives as derivatives
from gradcheck.backends import _torch_export as export
from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._worker.comparison import differences
from gradcheck.backends.torch_forward import LACKS as FORWARD_LACKS
from gradcheck.dtypes import DTYPES
from gradcheck.errors import RequestError, WithoutFrames
from gradcheck.graphs import Graph, RecordingError
from gradcheck.graphs.graph import COTANGENT, OUTPUT
from gradcheck.graphs.torch import record
from gradcheck.graphs.torch_rows import ROWS
from gradcheck.results import Report
from gradcheck.runs import in_process
from gradcheck.runs.function_sources import BackwardPass
from gradcheck.runs.in_process import Reports
from gradcheck.settings import Settings

__all__ = ["check"]

Mode = Callable[[calls.Call, calls.Asked], tuple[Answer, list[str]]]
"""Computes an answer, and lists the inputs with a gradient that the function changed."""
FUSED = "torch-compile"
"""The engine whose formats hold: a kernel may keep more digits between its steps than a tensor shows."""


@overload
def check(
    function: Callable[..., Any], inputs: Any, *, dtypes: None = None, **options: Unpack[in_process.CommonOptions]
) -> Report: ...
@overload
def check(
    function: Callable[..., Any], inputs: Any, *, dtypes: Iterable[Any], **options: Unpack[in_process.CommonOptions]
) -> Reports: ...
def check(
    function: Callable[..., Any],
    inputs: Any,
    *,
    reference: Callable[..., Any] | None = None,
    dtypes: Iterable[Any] | None = None,
    order: int = 1,
    forward: bool = False,
    check_batched: bool = False,
    seed: int = 0,
    gate: str = "rounding",
) -> Report | Reports:
    """Evaluate a function and its gradients in this process, and judge them.

    The function is called as it is: a lambda, a closure, a method, a module, `functools.partial`, `Function.apply`, a
    compiled function. Its gradients are those of `torch.autograd.grad`. The truth is that of the reference's forward
    pass, or of the function's own, which `torch.export` records: docs/torch.md lists its operators.

    Args:
        function: what is checked. Its results are tensors, or tuples, lists and dictionaries of them.
        inputs: its arguments: a tuple, a dictionary of those by keyword, or a single tensor. They may contain tuples,
            lists and dictionaries. Floating tensors that require a gradient are checked, in their own dtype: float64,
            float32, float16 or bfloat16; so are parameters of the modules that the function uses, by their names.
        reference: the same function of the same inputs, in plain operators.
        dtypes: some of these, or "all". For each, every floating tensor of the arguments, and every parameter and
            buffer, is cast to it, rounded to nearest; afterwards they are what they were.
        order: 1 judges gradients, 2 in their place the product of the Hessian and a direction v: the derivatives of
            v·∇L by the inputs, and by the cotangents, on which a backward pass depends too.
        forward: whether gradients of forward mode, along each unit vector, are judged too.
        check_batched: whether gradients are judged too that `torch.vmap` computes for a batch of cotangents; with
            `forward`, those along a batch of unit vectors too.
        seed: of the cotangents of all results, and of v.
        gate: "proved" refuses only proved errors, "formula" no lost digits, "rounding" also errors beyond rounding.

    Returns:
        The report; with `dtypes`, a dictionary of a report for each. `.assert_agrees()` of both raises an
        AssertionError with the finding.

    Raises:
        RequestError: nothing requires a gradient, dtypes differ, or the function cannot be recorded.
    """
    __tracebackhide__ = True
    with WithoutFrames(), torch.inference_mode(False):
        asked = in_process.checked_options(seed=seed, gate=gate, order=order)
        for each in (function, reference):
            _check_function(each)
        place = in_process.place_of(sys._getframe(1))

        def in_dtype(cast: str | None) -> Report:
            arguments, options = calls.cast(torch, in_process.as_arguments(inputs), cast)
            call = calls.Call(torch, function, arguments, options)
            with call.state(cast):
                _check_tensors(call)
                return _report(
                    call, reference, cast, asked, _modes(order, forward, check_batched, _dtype_of(call)), place
                )

        return in_process.in_each(dtypes, in_dtype)


def _report(
    call: calls.Call,
    reference: Callable[..., Any] | None,
    cast: str | None,
    options: Settings,
    modes: Mapping[str, Mode],
    place: tuple[str, int],
) -> Report:
    """The report on a call.

    Raises:
        RequestError: the function cannot be recorded, or lacks what is requested.
    """
    name, dtype = callables.name_of(call.function), _dtype_of(call)
    graph, arrays = _truth(call, reference, cast)
    own, is_first = (derivatives.product, False) if options.order == 2 else (calls.Call.answer, True)
    file, line = place
    asked = in_process.Function(
        name=name,
        file=callables.file_of(call.function) or file,
        call=f"{file}:{line}",
        graph=graph,
        wrt=call.wrt,
        inputs=arrays,
        evaluate=_evaluator(call, graph, dtype, own, is_first),
        started=in_process.started("torch", torch.__version__, torch.get_num_threads()),
        fused=FUSED,
        device=str(next(iter(call.tensors.values())).device),
        has_reference=reference is not None,
        rules=lambda: [BackwardPass(*lines) for lines in call.rules()],
        modes={mode: _evaluator(call, graph, dtype, evaluate) for mode, evaluate in modes.items()},
        hidden={"strided": _evaluator(call, graph, dtype, derivatives.strided)} if is_first else {},
    )
    try:
        return in_process.check(asked, dtype, options)
    except Malformed as error:
        raise RequestError(f"{name}: {error}") from None


def _check_function(function: Any) -> None:
    """Refuse what cannot be called as a function.

    Raises:
        RequestError: it is an autograd.Function, and not its `apply`; or nothing to call.
    """
    if isinstance(function, type) and issubclass(function, torch.autograd.Function):
        name = function.__name__
        raise RequestError(f"{name}: an autograd.Function by itself: expected a function: write {name}.apply")
    if function is not None and not callable(function):
        raise RequestError(f"{callables.name_of(function)} is no function: expected a function, a method or a module")


def _check_tensors(call: calls.Call) -> None:
    """Refuse tensors that cannot be checked.

    Raises:
        RequestError: an input is an array of NumPy; a tensor is sparse, or of another layout; all that require a
            gradient are empty; or one that does is no argument.
    """
    for name, each in call.tensors.items():
        if each.layout != torch.strided or each.is_quantized or each.is_nested:
            raise RequestError(f"{name} has the layout {each.layout}: expected a dense tensor, torch.strided")
    for name, each in callables.used_by(call.function):
        if isinstance(each, torch.Tensor) and each.requires_grad:
            raise RequestError(f"{name} requires a gradient, and is no argument: expected it among the inputs")
    arrays = [name for name, each in call.leaves.items() if isinstance(each, np.ndarray)]
    if arrays:
        instead = "write torch.from_numpy(array), and requires_grad_() for its gradient"
        raise RequestError(f"{arrays[0]} is an array of NumPy: expected a tensor: {instead}")
    if call.wrt and not any(call.tensors[name].numel() for name in call.wrt):
        raise RequestError("the inputs that require a gradient have no entries: expected one at least")


def _dtype_of(call: calls.Call) -> str:
    """The dtype of the tensors that require a gradient.

    Raises:
        RequestError: there is none, there are several dtypes, or it is none of the four.
    """
    if not call.wrt:
        raise RequestError("no input requires a gradient: write x.requires_grad_() for those to check")
    found = calls.names_of_dtypes({name: call.tensors[name] for name in call.wrt})
    if len(found) > 1:
        raise RequestError(f"the inputs that require a gradient have dtypes {', '.join(found)}: expected one dtype")
    if found[0] not in DTYPES:
        raise RequestError(f"the inputs have dtype {found[0]}: expected one of {', '.join(DTYPES)}")
    return found[0]


def _truth(call: calls.Call, reference: Callable[..., Any] | None, cast: str | None) -> tuple[Graph, dict[str, Any]]:
    """The graph of the reference, or of the function itself, and the arrays of its inputs.

    Raises:
        RequestError: it cannot be recorded, or lacks an input of the function.
    """
    function = call.function if reference is None else reference
    arguments, options, _ = call.prepared()
    known = calls.Call(torch, function, arguments, options, call.names)
    try:
        with known.state(cast), torch.enable_grad():
            if other := calls.same_parameters(torch, call.parameters, known.module):
                expected = "expected equal ones; write load_state_dict"
                raise RequestError(f"the reference has other values of {other}: {expected}")
            dump = export.dumped(torch, known.module, (arguments, options), list(known.leaves), ROWS)
        graph = record(dump, _dtype_of(call))
    except export.Unexportable as error:
        _raise_own(known)
        instead = ": expected reference= with the same function in plain operators" if reference is None else ""
        raise RequestError(f"{callables.name_of(function)}: torch.export cannot record it: {error}{instead}") from error
    except RecordingError as error:
        raise RequestError(str(error)) from error
    if lacking := [each for each in call.wrt if each not in graph.inputs]:
        expected = f"expected the parameters and inputs of {callables.name_of(call.function)}"
        raise RequestError(f"the reference has no input {lacking[0]}: {expected}")
    return graph, {each: dump["arrays"][each] for each in graph.inputs if each in dump["arrays"]}


def _raise_own(call: calls.Call) -> None:
    """Raise what a function raises when it is called, in one line; nothing if it can be called.

    Raises:
        RequestError: it fails, so that the failure of torch.export is its own.
    """
    arguments, options = call.copied()
    try:
        call.function(*arguments, **options)
    except Exception as error:
        raise RequestError(f"{callables.name_of(call.function)}: {export.reason(torch, error)}") from error


def _modes(order: int, forward: bool, check_batched: bool, dtype: str) -> dict[str, Mode]:
    """The requested modes beside that of `torch.autograd.grad`, by their names in the report.

    Raises:
        RequestError: order 2 or the dtype lacks one.
    """
    for option, wanted in {"forward": forward, "check_batched": check_batched}.items():
        if wanted and order == 2:
            raise RequestError(f"{option}=True with order=2: expected one of the two")
    if forward and dtype in FORWARD_LACKS:
        raise RequestError(f"forward=True in {dtype}: {FORWARD_LACKS[dtype]}: expected forward=False")
    modes: dict[str, tuple[Mode, bool]] = {
        "batched": (derivatives.batched, check_batched),
        "forward": (derivatives.forward, forward),
        "forward batched": (functools.partial(derivatives.forward, batch=True), forward and check_batched),
    }
    return {name: mode for name, (mode, wanted) in modes.items() if wanted}


def _evaluator(call: calls.Call, graph: Graph, dtype: str, mode: Mode, with_fault: bool = False) -> in_process.Evaluate:
    """What computes an answer of a mode twice, compares the two, and looks for a fault of the backward pass."""
    outputs = {label.removeprefix(OUTPUT): name for label, name in graph.output_names.items()}
    modules = {name: graph.nodes[place].shape for name, place in graph.watched.items() if name in call.submodules}

    def evaluate(other: str, given: Mapping[str, Any]) -> BackendAnswer:
        cotangents = {label: given[COTANGENT + label] for label in outputs}
        directions = {name: given[along] for name, along in in_process.directions(call.wrt).items() if along in given}
        asked = calls.Asked(None if other == dtype else other, outputs, cotangents, modules, directions)
        try:
            (first, changed), (again, _) = mode(call, asked), mode(call, asked)
        except (Malformed, RequestError):
            raise
        except Exception as error:  # of the user's code
            raise RequestError(f"{callables.name_of(call.function)}: {export.reason(torch, error)}") from error
        return BackendAnswer(
            first.loss,
            first.gradients,
            first.values,
            first.adjoints,
            notes=first.notes,
            varies=dict(differences(first, again)),
            mutated=changed,
            fault=derivatives.fault(call, asked) if with_fault else None,
        )

    return evaluate
