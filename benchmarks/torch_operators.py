"""PyTorch's own samples of its operators, checked by `gradcheck.torch.check`: how many agree, and which do not.

The samples are those of PyTorch's test suite, `torch.testing._internal.common_methods_invocations.op_db`. Run it in an
environment with gradcheck, PyTorch and expecttest, which that module imports.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from gradcheck.errors import RequestError


@click.command()
@click.option("--dtype", default="float64", show_default=True)
@click.option("--samples", default=2, show_default=True, help="Of each operator.")
@click.option("--first", default=0, help="The number of the first operator.")
@click.option("--count", default=10_000, help="How many operators.")
@click.option("--refusals", is_flag=True, help="Show why operators are refused.")
def main(dtype: str, samples: int, first: int, count: int, refusals: bool) -> None:
    """Check PyTorch's samples of its operators."""
    warnings.simplefilter("ignore")
    total: Counter[str] = Counter()
    agreeing = tried = 0
    for name, outcomes in outcomes_of(dtype, samples, first, count):
        counts = Counter(verdict for verdict, _ in outcomes)
        total += counts
        tried += bool(outcomes)
        agreeing += counts["agree"] > 0
        for verdict, reason in dict.fromkeys(outcomes):
            if verdict != "agree" and (refusals or verdict != "refused"):
                click.echo(f"{name}: {verdict}: {reason}")
    click.echo(f"{tried} operators, {agreeing} of them with samples that agree in {dtype}")
    click.echo(", ".join(f"{verdict} {number}" for verdict, number in total.most_common()))


def outcomes_of(dtype: str, samples: int, first: int, count: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Operators by name, each with the verdicts on its samples and their reasons."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    kind = getattr(torch, dtype)
    known = [each for each in op_db if each.supports_autograd and kind in each.supported_dtypes("cpu")]
    for operator in known[first : first + count]:
        try:
            drawn = list(operator.sample_inputs("cpu", kind, requires_grad=True))
        except Exception as error:  # some need a library that is not installed
            yield operator.formatted_name, [("no samples", type(error).__name__)]
            continue
        usable = [sample for sample in drawn if has_entries(torch, sample)]
        yield operator.formatted_name, [outcome(operator, sample) for sample in usable[:samples]]


def has_entries(torch: Any, sample: Any) -> bool:
    """Whether an input of a sample that requires a gradient has an entry."""
    leaves = torch.utils._pytree.tree_leaves((sample.input, sample.args, sample.kwargs))
    return any(isinstance(each, torch.Tensor) and each.requires_grad and each.numel() for each in leaves)


def outcome(operator: Any, sample: Any) -> tuple[str, str]:
    """The verdict on a sample, and its reason."""
    from gradcheck.torch import check

    def called(*arguments: Any, **options: Any) -> Any:
        return sample.output_process_fn_grad(operator(*arguments, **options))

    try:
        report = check(functools.partial(called, **sample.kwargs), (sample.input, *sample.args))
    except RequestError as error:
        return "refused", str(error)
    except Exception as error:  # neither gradcheck nor the operator may fail like this
        return "error", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    [backend] = report.backends
    return str(report.verdict), backend.reason or ""


if __name__ == "__main__":
    main()
