"""The Python API: checks whose workers stay warm from one to the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gradcheck import settings
from gradcheck.errors import RequestError
from gradcheck.problems import _functions
from gradcheck.results import Report
from gradcheck.runs import runner

LOG = logging.getLogger("gradcheck")


class Logged:
    """Tells the log what happens."""

    def building(self, spec: str, text: str) -> None:
        """An environment is being built."""
        LOG.info("%s: %s", spec, text)

    def built(self, spec: str, complete: bool) -> None:
        """An environment is complete, or will never be."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def details(self, spec: str, text: str) -> None:
        """A backend failed."""
        if text:
            LOG.warning("%s: %s", spec, text)


class Session:
    """Checks whose workers stay warm: the first one with a backend imports its framework, later ones take milliseconds.

    >>> with Session() as session:
    ...     for seed in range(3):
    ...         session.check("sigmoid_skip", k=8, seed=seed, backends=["numpy"]).assert_agrees()
    """

    def __init__(self) -> None:
        self._runner = runner.Runner(Logged())

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._runner.close()

    def check(
        self,
        problem: str | os.PathLike[str] | Callable[..., Any],
        *,
        k: int = 3,
        seed: int = 0,
        dtype: str = "float64",
        backends: Sequence[str] = (),
        distribution: str = "uniform",
        scale: float = 1.0,
        gate: str = "rounding",
        device: str = "cpu",
        tf32: bool = False,
        timeout: float = 120.0,
        build: bool = True,
        inputs: _functions.Shapes | None = None,
        wrt: Sequence[str] | None = None,
        gradients: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Report:
        """Evaluate one case of a problem in several backends, and judge the answers.

        Args:
            problem: a problem's name, the path of its file, or its loss as a function `loss(ops, **inputs)`.
            k: size of the problem.
            seed: of the random inputs.
            dtype: "float64", "float32", "float16" or "bfloat16".
            backends: NAME, NAME==VERSION, NAME@/path/to/python or exec:/path/to/program each; left out, those
                that the problem's file names, which are its hand-written gradients where it names none.
            distribution: of the inputs, see `gradcheck run --help`.
            scale: factor on all inputs.
            gate: "rounding" refuses what rounding cannot explain, "formula" wrong formulas alone and not lost digits,
                "proved" proofs alone.
            device: where engines compute: "cpu", "cuda" or "cuda:N".
            tf32: whether float32 matrix products on the device may round their operands to TF32.
            timeout: seconds that a backend has to start, and again to answer.
            build: whether environments may be built.
            inputs: where `problem` is a function: the inputs' shapes by name, or a function of `k` that gives them.
            wrt: likewise: the inputs whose gradients are wanted; every one where left out.
            gradients: likewise: hand-written gradients by name, each a function of the inputs.

        Raises:
            RequestError: the request is wrong; nothing was run.
        """
        if isinstance(backends, str):
            raise RequestError(f"backends={backends!r}: expected a list of names, such as [{backends!r}]")
        chosen = settings.of(
            problem=named(problem, inputs=inputs, wrt=wrt, gradients=gradients),
            k=k,
            seed=seed,
            dtype=dtype,
            backend=list(backends),
            distribution=distribution,
            scale=scale,
            gate=gate,
            device=device,
            tf32=tf32,
            timeout=timeout,
            no_build=not build,
        )
        return self._runner.run(chosen)


def named(problem: str | os.PathLike[str] | Callable[..., Any], **parts: Any) -> str:
    """What the settings call a problem: its name or the path of its file, which is written if it is a function."""
    if callable(problem):
        return str(_functions.write(problem, parts.get("inputs"), parts.get("wrt"), parts.get("gradients")))
    for part, value in parts.items():
        if value is not None:
            raise RequestError(
                f"{part}={value!r}: expected only where the problem is a function: {problem} says it itself"
            )
    return str(Path(problem)) if isinstance(problem, os.PathLike) else problem
