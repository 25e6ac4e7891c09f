"""The Python API: checks whose workers stay warm from one to the next."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gradcheck import problems, settings
from gradcheck.errors import RequestError, WithoutFrames
from gradcheck.outcomes import Summary
from gradcheck.problems import _functions
from gradcheck.problems._guard import TIMEOUT
from gradcheck.results import Report
from gradcheck.runs import runner, sweep
from gradcheck.runs.plan import plan
from gradcheck.settings.places import KEYWORDS

LOG = logging.getLogger("gradcheck")
FUNCTIONS = ("inputs", "wrt", "gradients", "sample", "hessian_products", "implementations")
"""Arguments of `check` for a problem that is a function."""
Function = TypeVar("Function", bound=Callable[..., Any])
Named = str | os.PathLike[str] | Callable[..., Any]
Problems = Named | Sequence[Named]
"""A problem by its name, the path of its file, or its loss as a function; or several."""


def lists_options(function: Function) -> Function:
    """Show the options that a function takes by keyword in its signature and its docstring."""
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    options = {name: option for name, option in KEYWORDS.items() if name not in signature.parameters}
    shown = [Parameter(name, Parameter.KEYWORD_ONLY, default=each.default) for name, each in options.items()]
    lines = [f"    {name}: {each.help}{each.default_note}" for name, each in options.items()]
    function.__signature__ = signature.replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Options:", *lines])
    return function


class Logged:
    """Writes events to the log."""

    def building(self, spec: str, text: str) -> None:
        """An environment is being built."""
        LOG.info("%s: %s", spec, text)

    def built(self, spec: str, complete: bool) -> None:
        """An environment is complete, or cannot be built."""

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""

    def progress(self, done: int, total: int) -> None:
        """Some of all cases have an outcome."""

    def notice(self, text: str) -> None:
        """A sentence about the run."""
        LOG.info("%s", text)

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

    @lists_options
    def check(
        self,
        problem: str | os.PathLike[str] | Callable[..., Any],
        *,
        inputs: _functions.Shapes | Mapping[str, Any] | None = None,
        wrt: Sequence[str] | None = None,
        gradients: Mapping[str, Any] | None = None,
        sample: Callable[..., Mapping[str, Any]] | None = None,
        hessian_products: Mapping[str, Any] | None = None,
        implementations: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Report:
        """Evaluate one case of a problem in several backends, and judge the answers.

        Args:
            problem: a problem's name, the path of its file, or its loss as a function: `loss(**inputs)` in NumPy, or
                `loss(ops, **inputs)`. If it returns arrays and not one number, L = Σ cotangent · output is checked, and
                hand-written gradients get the argument `cotangent`.
            inputs: where `problem` is a function: the inputs' shapes by name, or a function of `k` that gives them. Or,
                for any problem, the inputs themselves: arrays by name, of NumPy or another framework. Without `dtype`,
                the case has the dtype of its floating arrays; `seed` draws cotangents and directions alone.
            wrt: where `problem` is a function: the inputs whose gradients are wanted; default: every floating one.
            gradients: where `problem` is a function: hand-written gradients by name, each a function of the inputs.
            sample: where `problem` is a function: a function of `rng`, and of `k` if `inputs` is a function, that gives
                some inputs as arrays; those of integers and booleans have no gradient.
            hessian_products: where `problem` is a function: hand-written products of the Hessian and a direction by
                name, for `order=2`: each gets the inputs and `direction`, arrays by name, and returns (v·∇L, {"W": (Hv)
                of W, ...}).
            implementations: where `problem` is a function: the loss once more in an engine's own arrays, which that
                engine differentiates: pairs of the engine's name and a function by name. Gradients and products may be
                such pairs too.
            **options: as for `gradcheck run`, which has the same defaults; files and variables have no effect here.

        Raises:
            RequestError: the request is wrong; nothing was run.
        """
        functions = {
            "gradients": gradients,
            "sample": sample,
            "hessian_products": hessian_products,
            "implementations": implementations,
        }
        __tracebackhide__ = True
        with WithoutFrames():
            if are_given(problem, inputs):
                return self._check_given(problem, inputs, {"wrt": wrt, **functions}, options)
            problem = named(problem, inputs=inputs, wrt=wrt, **functions)
            return self._runner.run(settings.of({"problem": problem, **options}, others=FUNCTIONS))

    def _check_given(
        self, problem: Named, inputs: Any, functions: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Report:
        """Evaluate the case of given arrays."""
        from gradcheck.runs import given

        arrays = given.arrays_of(inputs)
        name = named(problem, inputs=arrays if callable(problem) else None, **functions)
        chosen = settings.of({"problem": name, **options}, others=FUNCTIONS)
        return given.check(self._runner, chosen, inputs, arrays)

    def sweep(self, problem: Problems, **options: Any) -> Summary:
        """Evaluate many cases in several backends, and judge the answers; `gradcheck.sweep` describes the arguments.

        Raises:
            RequestError: the request is wrong.
        """
        __tracebackhide__ = True
        with WithoutFrames():
            parts = {part: options.pop(part, None) for part in FUNCTIONS}
            several = problem if isinstance(problem, Sequence) and not isinstance(problem, str) else [problem]
            if any(are_given(each, parts["inputs"]) for each in several):
                raise RequestError("inputs: arrays are one case: expected shapes, or check(), which takes arrays")
            names = [named(each, **parts) for each in several]
            chosen = settings.of({"problem": names, **options}, others=FUNCTIONS, many=True)
            planned = plan(chosen, self._runner.problem)
            with sweep.executor_of(planned, self._runner, Logged()) as executor:
                return sweep.sweep(planned, executor, Logged())


def verify(
    problem: str | os.PathLike[str] | Callable[..., Any],
    inputs: Mapping[str, Any],
    answers: Mapping[str, Any],
    wrt: Sequence[str] | None,
    gate: str,
    again: str,
) -> Report:
    """Judge answers that were computed elsewhere; `gradcheck.verify` describes the arguments.

    Args:
        problem: a name, a path, or a loss.
        inputs: arrays by name.
        answers: by name.
        wrt: of a loss.
        gate: as for a check.
        again: what judges them again, in the report.

    Raises:
        RequestError: an array is missing, unknown or of a wrong shape, or an answer is none.
    """
    from gradcheck.runs.records import record_of
    from gradcheck.runs.verify import problem_of, verify

    checked = settings.of({"gate": gate})
    if wrt is not None and not callable(problem):
        raise RequestError(f"wrt={wrt!r}: expected only where the problem is a function: {problem} states it itself")
    with runner.authors(Logged(), TIMEOUT) as authors:
        if callable(problem):
            loaded = problem_of(problem, inputs, wrt)
        else:
            loaded = problems.load(os.fspath(problem), authors=authors)
        return verify(record_of(loaded.name, inputs, answers, "verify"), "verify", loaded, checked.gate, again)


def are_given(problem: Named, inputs: Any) -> bool:
    """Whether inputs are arrays, and not the shapes of those of a function."""
    from gradcheck.runs import given

    return inputs is not None and (not callable(problem) or given.are_arrays(inputs))


def named(problem: str | os.PathLike[str] | Callable[..., Any], **parts: Any) -> str:
    """A problem's name in the settings: its own, or the path of its file; a function is written to a file first.

    Args:
        problem: its name, the path of its file, or its loss as a function.
        **parts: those of `FUNCTIONS`, if it is a function.

    Raises:
        RequestError: it is no function, and there are parts.
    """
    if callable(problem):
        return str(_functions.write(problem, *(parts.get(part) for part in FUNCTIONS)))
    for part, value in parts.items():
        if value is not None:
            raise RequestError(
                f"{part}={value!r}: expected only where the problem is a function: {problem} states it itself"
            )
    return str(Path(problem)) if isinstance(problem, os.PathLike) else problem
