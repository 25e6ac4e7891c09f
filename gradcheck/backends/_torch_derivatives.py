"""Derivatives of a function in PyTorch beside its gradients: of order 2, in forward mode, and of several cotangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._batches import ENTRIES, further, slopes
from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._torch_calls import total
from gradcheck.backends._torch_export import as_array
from gradcheck.backends._worker.outputs import COTANGENT

if TYPE_CHECKING:
    from gradcheck.backends._torch_calls import Asked, Call

NOT_BATCHED = "expected operators that torch.vmap knows, or check_batched=False"


def product(call: Call, asked: Asked) -> tuple[Answer, list[str]]:
    """The answer of order 2, and the inputs with a gradient that the function changed.

    Its loss is v·∇L. The gradients of that by the inputs are the product of the Hessian and v, those by the cotangents
    are the product of the Jacobian and v: a backward pass depends on both.

    Args:
        call: of the function.
        asked: with directions.

    Raises:
        Malformed: the function returns other outputs, or cannot be differentiated twice.
    """
    with call.evaluated(asked) as run:
        seeds = {label: each.requires_grad_() for label, each in run.seeds.items()}
        slopes = dict(zip(run.sources, call.gradients(run, seeds, [*run.sources.values()], create_graph=True)))
        slope = sum((call.like(each, asked.directions[name]) * each).sum() for name, each in slopes.items())
        found = _twice(call, slope, [*run.sources.values(), *seeds.values()])
    names = [*run.sources, *(COTANGENT + label for label in seeds)]
    values = {asked.outputs[label]: each for label, each in call.arrays(run.results).items()}
    loss = total(call.arrays(slopes), asked.directions)
    return Answer(loss, call.arrays(dict(zip(names, found))), values), run.changed


def batched(call: Call, asked: Asked) -> tuple[Answer, list[str]]:
    """The answer whose gradients come from a batch of cotangents, and the inputs that the function changed.

    The batch holds each cotangent c and −c, whose gradients are the same except for the sign, rounding errors too. Of
    the two the answer has, entry by entry, the one that is further from the gradient of c alone.

    Args:
        call: of the function.
        asked: without directions.

    Raises:
        Malformed: the function returns other outputs, or its backward pass takes no batch.
    """
    torch = call.torch
    with call.evaluated(asked) as run:
        sources = [*run.sources.values()]
        alone = call.gradients(run, run.seeds, sources, retain_graph=True)
        both = {label: torch.stack([each, -each]) for label, each in run.seeds.items()}
        try:
            found = torch.vmap(lambda seeds: call.gradients(run, seeds, sources, retain_graph=True))(both)
        except RuntimeError as error:
            raise Malformed(f"its gradients cannot be batched: {_first_line(error)}: {NOT_BATCHED}") from error
    gradients = {
        name: further(as_array(torch, several), as_array(torch, one))
        for name, several, one in zip(run.sources, found, alone)
    }
    values = call.arrays(run.results)
    named = {asked.outputs[label]: each for label, each in values.items()}
    return Answer(total(values, asked.cotangents), gradients, named), run.changed


def forward(call: Call, asked: Asked, batch: bool = False) -> tuple[Answer, list[str]]:
    """The answer with gradients of forward mode, along each unit vector; it looks for no changed inputs.

    Args:
        call: of the function.
        asked: without directions.
        batch: whether `torch.vmap` and `torch.func.jvp` compute those along many unit vectors at once.

    Raises:
        Malformed: the function returns other outputs, or has no forward mode.
    """
    with call.state(asked.dtype):
        values = call.arrays(call.at({}, asked))
        try:
            gradients = {name: _slopes(call, name, asked, batch) for name in call.wrt}
        except NotImplementedError as error:
            expected = "expected a jvp() of the autograd.Function, or forward=False"
            raise Malformed(f"it has no forward mode: {_first_line(error)}: {expected}") from error
        except RuntimeError as error:
            if not batch:
                raise
            raise Malformed(f"its forward mode cannot be batched: {_first_line(error)}: {NOT_BATCHED}") from error
    named = {asked.outputs[label]: each for label, each in values.items()}
    return Answer(total(values, asked.cotangents), gradients, named), []


def _slopes(call: Call, name: str, asked: Asked, batch: bool) -> Any:
    """The derivatives of Σ cotangent · result along the unit vectors of one input, in its shape."""
    import numpy as np

    torch = call.torch
    source = call.sources(asked.dtype)[name].detach()

    def result(value: Any) -> dict[str, Any]:
        return call.at({name: value}, asked)

    def at_once(units: Any) -> dict[str, Any]:
        found: dict[str, Any] = torch.vmap(lambda unit: torch.func.jvp(result, (source.clone(),), (unit,))[1])(units)
        return found

    def one_by_one(units: Any) -> dict[str, Any]:
        found = [_along(torch, result, source.clone(), unit) for unit in units]
        return {label: torch.stack([each[label] for each in found]) for label in found[0]}

    numbers, found = torch.arange(source.numel(), device=source.device), [np.zeros(0)]
    for some in numbers.split(max(ENTRIES // source.numel(), 1)) if source.numel() else ():
        units = (some[:, None] == numbers).to(source.dtype).reshape(-1, *source.shape)
        tangents = call.arrays((at_once if batch else one_by_one)(units))
        found.append(slopes(asked.cotangents, tangents))
    return np.concatenate(found).astype(as_array(torch, source).dtype).reshape(source.shape)


def _along(torch: Any, function: Callable[[Any], dict[str, Any]], source: Any, unit: Any) -> dict[str, Any]:
    """The derivatives of the results of a function along a unit vector."""
    ad = torch.autograd.forward_ad
    with ad.dual_level():
        pairs = {label: ad.unpack_dual(each) for label, each in function(ad.make_dual(source, unit)).items()}
        return {
            label: torch.zeros_like(primal) if tangent is None else tangent
            for label, (primal, tangent) in pairs.items()
        }


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def strided(call: Call, asked: Asked) -> tuple[Answer, list[str]]:
    """The answer to cotangents with gaps between their entries in memory, such as a view has."""
    return call.answer(asked._replace(strided=True, modules={}))


def fault(call: Call, asked: Asked) -> str | None:
    """What the backward pass does wrong where results have no gradient, which PyTorch calls undefined; or None.

    PyTorch hands None, or zeros, to a backward pass for each result that a loss does not use.

    Args:
        call: of the function.
        asked: without directions.
    """
    torch = call.torch

    class Unused(torch.autograd.Function):  # type: ignore[misc, name-defined]
        forward = staticmethod(lambda _, tensor: tensor.clone())
        backward = staticmethod(lambda *_: None)

    with call.evaluated(asked) as run:
        ends = {label: each for label, each in run.results.items() if each.requires_grad}
        together = [[*ends]] if ends else []  # no result has a gradient if all are detached
        for unused in (*together, *([label] for label in ends if len(ends) > 1)):
            which = "results have" if len(unused) > 1 else f"result {unused[0]} has".replace("  ", " ")
            given = {label: Unused.apply(each) if label in unused else each for label, each in ends.items()}
            zeros = {label: torch.zeros_like(each) for label, each in ends.items()}
            try:
                found = call.gradients(run._replace(results=given), zeros, [*run.sources.values()], retain_graph=True)
            except Exception as error:
                return (
                    f"its backward pass fails where {which} no gradient: {type(error).__name__}: {_first_line(error)}"
                )
            for name, gradient in zip(run.sources, found):
                if ((gradient != 0) & (gradient == gradient)).any():
                    return f"dL/d{name} is not zero where {which} no gradient: expected zeros or None"
    return None


def _twice(call: Call, slope: Any, sources: Sequence[Any]) -> Sequence[Any]:
    """The gradients of a derivative; zeros where it depends on nothing."""
    expected = "expected order=1"
    if not slope.requires_grad:
        return [call.torch.zeros_like(each) for each in sources]
    if "torch::autograd::Error" in _history(slope):  # PyTorch raises it only where a gradient passes through it
        raise Malformed(f"it cannot be differentiated twice: a step is marked with @once_differentiable: {expected}")
    try:
        found: Sequence[Any] = call.torch.autograd.grad(slope, sources, allow_unused=True, materialize_grads=True)
    except RuntimeError as error:  # a NotImplementedError is one
        reason = " ".join(str(error).split())
        if "not implemented" not in reason:
            raise
        raise Malformed(f"it cannot be differentiated twice: {reason}: {expected}") from error
    return found


def _history(tensor: Any) -> set[str]:
    """The names of the steps that computed a tensor."""
    found, waiting = {tensor.grad_fn}, [tensor.grad_fn]
    while waiting:
        following = {step for step, _ in waiting.pop().next_functions if step is not None} - found
        found |= following
        waiting += following
    return {step.name() for step in found}
