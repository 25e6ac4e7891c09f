"""Derivatives of a function in PyTorch beside its gradients: products of the Hessian and a direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcheck.backends._engine import Answer, Malformed
from gradcheck.backends._torch_calls import total
from gradcheck.backends._worker.outputs import COTANGENT

if TYPE_CHECKING:
    from gradcheck.backends._torch_calls import Call


def product(
    call: Call,
    dtype: str | None,
    outputs: Mapping[str, str],
    cotangents: Mapping[str, Any],
    directions: Mapping[str, Any],
) -> tuple[Answer, list[str]]:
    """The answer of order 2, and the inputs with a gradient that the function changed.

    Its loss is v·∇L. The gradients of that by the inputs are the product of the Hessian and v, those by the cotangents
    are the product of the Jacobian and v: a backward pass depends on both.

    Args:
        call: of the function.
        dtype: in the place of that of the arguments.
        outputs: label -> the name under which an output is compared.
        cotangents: label -> array.
        directions: name of an input with a gradient -> array.

    Raises:
        Malformed: the function returns other outputs, or cannot be differentiated twice.
    """
    with call.evaluated(dtype, outputs, cotangents) as run:
        seeds = {label: each.requires_grad_() for label, each in run.seeds.items()}
        slopes = dict(zip(run.sources, call.gradients(run, seeds, [*run.sources.values()], create_graph=True)))
        slope = sum((call.like(each, directions[name]) * each).sum() for name, each in slopes.items())
        found = _twice(call, slope, [*run.sources.values(), *seeds.values()])
    names = [*run.sources, *(COTANGENT + label for label in seeds)]
    values = {outputs[label]: each for label, each in call.arrays(run.results).items()}
    loss = total(call.arrays(slopes), directions)
    return Answer(loss, call.arrays(dict(zip(names, found))), values), run.changed


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
