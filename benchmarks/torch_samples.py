"""PyTorch's own samples of its operators and modules, checked by `gradcheck.torch.check`: how many agree, which do not.

The samples are those of PyTorch's test suite: `op_db` of `torch.testing._internal.common_methods_invocations`, and
with `--modules` `module_db` of `torch.testing._internal.common_modules`. Run it in an environment with gradcheck,
PyTorch and expecttest, which these import.
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from gradcheck.errors import RequestError


class Sample(NamedTuple):
    """A call; its arguments by position are those to check."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Drawn = tuple[str, Callable[[], Iterator[Sample]]]
"""The name of an operator or a module, and what draws its samples."""


@click.command()
@click.option("--dtype", default="float64", show_default=True)
@click.option("--samples", default=2, show_default=True, help="Of each operator or module.")
@click.option("--first", default=0, help="The number of the first one.")
@click.option("--count", default=10_000, help="How many.")
@click.option("--modules", is_flag=True, help="Modules instead of operators.")
@click.option("--refusals", is_flag=True, help="Show why samples are refused.")
def main(dtype: str, samples: int, first: int, count: int, modules: bool, refusals: bool) -> None:
    """Check PyTorch's samples of its operators, or of its modules."""
    warnings.simplefilter("ignore")
    known = list(modules_in(dtype) if modules else operators_in(dtype))
    total: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    agreeing = tried = 0
    for name, draw in known[first : first + count]:
        outcomes = outcomes_of(draw, samples)
        counts = Counter(verdict for verdict, _ in outcomes)
        total += counts
        sentences.update(without_names(reason) for verdict, reason in outcomes if verdict == "refused")
        tried += bool(outcomes)
        agreeing += counts["agree"] > 0
        for verdict, reason in dict.fromkeys(outcomes):
            if verdict != "agree" and (refusals or verdict != "refused"):
                click.echo(f"{name}: {verdict}: {reason}")
    kind = "modules" if modules else "operators"
    click.echo(f"{tried} {kind}, {agreeing} of them with samples that agree in {dtype}")
    click.echo(", ".join(f"{verdict} {number}" for verdict, number in total.most_common()))
    for sentence, number in sentences.most_common():
        click.echo(f"refused {number}: {sentence}")


def without_names(reason: str) -> str:
    """A sentence without its place, and with one name for all functions and operators."""
    reason = re.sub(r"\S+\.py:\d+: ", "", reason)
    return re.sub(r"\baten\.[\w.]+", "aten.…", re.sub(r"^\w+(?=: torch\.export cannot)", "…", reason))


def outcomes_of(draw: Callable[[], Iterator[Sample]], count: int) -> list[tuple[str, str]]:
    """The verdicts on some samples, and their reasons."""
    import torch

    torch.manual_seed(0)
    try:
        drawn = list(itertools.islice(draw(), count))
    except Exception as error:  # some need a library that is not installed
        return [("no samples", type(error).__name__)]
    return [outcome(each) for each in drawn]


def operators_in(dtype: str) -> Iterator[Drawn]:
    """The operators that have gradients in a dtype, with their samples that have entries."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    kind = getattr(torch, dtype)

    def drawn(operator: Any) -> Iterator[Sample]:
        for sample in operator.sample_inputs("cpu", kind, requires_grad=True):
            called = functools.partial(processed, operator, sample.output_process_fn_grad)
            yield from checked(torch, called, (sample.input, *sample.args), sample.kwargs)

    for operator in op_db:
        if operator.supports_autograd and kind in operator.supported_dtypes("cpu"):
            yield operator.formatted_name, functools.partial(drawn, operator)


def processed(operator: Callable[..., Any], process: Callable[[Any], Any], *arguments: Any, **options: Any) -> Any:
    """What PyTorch's tests compare of an operator's result."""
    return process(operator(*arguments, **options))


def modules_in(dtype: str) -> Iterator[Drawn]:
    """The modules of a dtype in training and, where that differs, in evaluation mode, with their samples."""
    import torch
    from torch.testing._internal.common_modules import module_db

    kind = getattr(torch, dtype)

    def drawn(known: Any, training: bool) -> Iterator[Sample]:
        given = known.module_inputs_func(known, device="cpu", dtype=kind, requires_grad=True, training=training)
        for each in given:
            made, called = each.constructor_input, each.forward_input
            module = known.module_cls(*made.args, **made.kwargs).to(kind).train(training)
            if known.is_lazy:
                module(*called.args, **called.kwargs)  # it has parameters from now on
            yield from checked(torch, module, called.args, called.kwargs)

    for known in module_db:
        if kind in known.supported_dtypes("cpu"):
            yield f"{known.name}, training", functools.partial(drawn, known, True)
            if known.train_and_eval_differ:
                yield f"{known.name}, evaluation", functools.partial(drawn, known, False)


def checked(
    torch: Any, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Iterator[Sample]:
    """The sample of a call, if a tensor that requires a gradient has entries; its tensors are by position."""
    last = {name: each for name, each in options.items() if isinstance(each, torch.Tensor)}
    others = {name: each for name, each in options.items() if name not in last}
    parameters = list(function.parameters()) if isinstance(function, torch.nn.Module) else []
    leaves = torch.utils._pytree.tree_leaves((arguments, options, parameters))
    if any(isinstance(each, torch.Tensor) and each.requires_grad and each.numel() for each in leaves):
        called = functools.partial(with_keywords, function, tuple(last)) if last else function
        yield Sample(functools.partial(called, **others) if others else called, (*arguments, *last.values()))


def with_keywords(function: Callable[..., Any], names: tuple[str, ...], *arguments: Any, **options: Any) -> Any:
    """A call whose last arguments by position have these keywords."""
    first = len(arguments) - len(names)
    return function(*arguments[:first], **dict(zip(names, arguments[first:], strict=True)), **options)


def outcome(sample: Sample) -> tuple[str, str]:
    """The verdict on a sample, and its reason."""
    from gradcheck.torch import check

    try:
        report = check(*sample)
    except RequestError as error:
        return "refused", str(error)
    except Exception as error:  # neither gradcheck nor the operator may fail like this
        return "error", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    [backend] = report.backends
    return str(report.verdict), backend.reason or ""


if __name__ == "__main__":
    main()
