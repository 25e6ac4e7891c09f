"""What checks a function with a backward pass by hand, in the interpreter that has PyTorch.

As a program it prints a JSON list of outcomes: `python -m benchmarks.kernel_checkers 2 12 float64` for two draws
of twelve functions.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._dynamo.utils import same

from benchmarks.custom_functions import KERNELS
from gradcheck.torch import check

Function = Callable[..., Any]
COTANGENT = 1_000
"""Its seed, which no draw of inputs has: the gradient of a norm vanishes along its own input."""


def by_this_tool(function: Function, plain: Function, inputs: list[Any]) -> str:
    """The verdict of `gradcheck.torch.check`."""
    return str(check(function, tuple(inputs), reference=plain).verdict)


def by_gradcheck(function: Function, plain: Function, inputs: list[Any], fast: bool = False) -> str:
    """The verdict of `torch.autograd.gradcheck`, with its defaults."""
    return verdict(torch.autograd.gradcheck(function, inputs, fast_mode=fast, raise_exception=False))


def by_twice_the_error(function: Function, plain: Function, inputs: list[Any]) -> str:
    """The rule of FlashAttention's tests: the error of a kernel, and twice that of plain operators, plus 1e-5."""
    truth = passes(plain, inputs, torch.float64)
    kernel, usual = (errors(passes(each, inputs), truth) for each in (function, plain))
    return verdict(all(mine <= 2 * its + 1e-5 for mine, its in zip(kernel, usual, strict=True)))


def by_same(function: Function, plain: Function, inputs: list[Any]) -> str:
    """The rule of torch.compile's tests, with its defaults and a float64 answer."""
    truth = passes(plain, inputs, torch.float64)
    return verdict(same(passes(plain, inputs), passes(function, inputs), fp64_ref=truth))


EVERY, NARROW = ("float64", "float32", "bfloat16"), ("float32", "bfloat16")
CHECKERS: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    "this tool": (by_this_tool, EVERY),
    "gradcheck, slow": (by_gradcheck, EVERY),
    "gradcheck, fast": (functools.partial(by_gradcheck, fast=True), EVERY),
    "twice the error": (by_twice_the_error, NARROW),
    "dynamo same": (by_same, NARROW),
}
"""Each with the dtypes in which it is tried: the rules for kernels need a wider dtype for their truth."""


def verdict(passed: bool) -> str:
    """In the words of this tool."""
    return "agree" if passed else "differ"


def passes(function: Function, inputs: list[Any], dtype: torch.dtype | None = None) -> list[Any]:
    """The result and the gradients, computed in a dtype, for a cotangent that the dtype of the inputs has."""
    leaves = [each.detach().to(dtype or each.dtype).requires_grad_() for each in inputs]
    result = function(*leaves)
    drawn = torch.randn(result.shape, generator=torch.Generator().manual_seed(COTANGENT), dtype=torch.float64)
    cotangent = drawn.to(inputs[0].dtype).to(result.dtype)
    return [result.detach(), *torch.autograd.grad(result, leaves, cotangent)]


def errors(answer: list[Any], truth: list[Any]) -> list[float]:
    """The largest error of each tensor."""
    return [float((mine.double() - right.double()).abs().max()) for mine, right in zip(answer, truth, strict=True)]


def change(answer: list[Any], right: list[Any]) -> float:
    """The largest change of an entry, in units of the dtype's spacing at its tensor's largest entry."""
    spacings = (float(torch.finfo(each.dtype).eps * each.abs().max()) for each in right)
    return max(moved / spacing for moved, spacing in zip(errors(answer, right), spacings, strict=True))


def outcomes(seeds: int, functions: int, dtypes: list[str]) -> Iterator[dict[str, Any]]:
    """What each checker does with each function, mistake and draw."""
    for dtype, (name, kernel), seed in itertools.product(dtypes, list(KERNELS.items())[:functions], range(seeds)):
        inputs = kernel.inputs(getattr(torch, dtype), seed)
        variants = dict(kernel.functions())
        right = passes(variants["correct"], inputs)
        for planted, function in variants.items():
            size = change(passes(function, inputs), right)
            for checker, (checked, tried) in CHECKERS.items():
                if dtype in tried:
                    begin = time.perf_counter()
                    found, reason = outcome(checked, function, kernel.plain, inputs)
                    yield {
                        "dtype": dtype, "function": name, "seed": seed, "planted": planted, "size": size,
                        "checker": checker, "verdict": found, "reason": reason,
                        "milliseconds": 1e3 * (time.perf_counter() - begin),
                    }  # fmt: skip


def outcome(checked: Callable[..., str], function: Function, plain: Function, inputs: list[Any]) -> tuple[str, str]:
    """The verdict, and the message of the exception if there is one."""
    try:
        return checked(function, plain, inputs), ""
    except Exception as error:  # a checker may refuse a dtype, and the table shows it
        return "error", f"{type(error).__name__}: {error}"


def main() -> None:
    """Print the outcomes."""
    warnings.simplefilter("ignore")  # gradcheck warns of dtypes narrower than float64, and continues
    logging.disable()  # `same` logs what differs
    seeds, functions, *dtypes = sys.argv[1:]
    print(json.dumps(list(outcomes(int(seeds), int(functions), dtypes))))


if __name__ == "__main__":
    main()
