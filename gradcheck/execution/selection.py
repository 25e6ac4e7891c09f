"""The selection: the backends of a run, their kinds, and where they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcheck.backends._worker import handwritten
from gradcheck.backends._worker.whole_files import ORIGINAL
from gradcheck.errors import RequestError
from gradcheck.execution import engines, environments
from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments import Builder, Building, Environment, Missing
from gradcheck.execution.pool import Launch, hosted
from gradcheck.execution.worker import Failure
from gradcheck.problems import Problem
from gradcheck.results import Verdict
from gradcheck.settings import Settings
from gradcheck.text.suggestions import did_you_mean, expected_one_of

if TYPE_CHECKING:
    from gradcheck.oracle import Format

CPU = "cpu"
SHIPPED_GRADIENTS = ("numpy", "manual")
"""Names of hand-written gradients of shipped problems, which users take for engines."""
NVIDIA_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Files of the driver on Linux and on WSL."""
TF32_ROUNDING = 2.0**-11
"""Of each operand of a float32 matrix product: TF32 keeps 11 bits (NVIDIA A100 Tensor Core GPU Architecture, 2020)."""

Place = tuple[Spec, str, str]
"""A backend's name, that of its engine, and the device."""


@dataclass(frozen=True)
class Selected:
    """A requested backend; if `engine` is None, a program or a hand-written gradient of the problem in NumPy.

    `home` is the engine in whose environment such a gradient runs, if the user names one, or if the file is written in
    its code. `runs` says what an engine runs of the problem's file, in its own arrays: "gradient" or "implementation".
    """

    spec: Spec
    engine: EngineDeclaration | None
    device: str = CPU
    tf32: bool = False
    home: EngineDeclaration | None = None
    runs: str | None = None

    @property
    def key(self) -> str:
        """Its name in reports."""
        return str(self.spec)

    @property
    def place(self) -> Place:
        """What decides where it runs: files may have functions of one name in several engines."""
        return self.spec, self.engine.name if self.engine else "", self.device

    @property
    def environment(self) -> tuple[Spec, EngineDeclaration] | None:
        """The engine in whose environment it runs, and the name of that; None if it runs in no engine's."""
        if self.home:
            return self.spec.home or Spec(self.home.name), self.home
        if self.engine and self.runs:
            return replace(self.spec, name=self.engine.name), self.engine
        return (self.spec, self.engine) if self.engine else None

    @property
    def lacks(self) -> Mapping[str, str]:
        """dtype -> why it cannot compute in it."""
        return self.engine.lacks if self.engine else {}

    def format(self, dtype: str) -> Format:
        """The format of its rounding."""
        from gradcheck.oracle import Format

        if self.spec.program:  # its rounding is unknown: it may flush subnormal numbers, and sum in its own dtype
            return Format.of(dtype, flushes=True)
        formats = self.engine.formats if self.engine else handwritten.FORMATS
        traits: dict[str, Any] = dict(formats.get(dtype, {}))
        if self.tf32 and self.knows_device and dtype == "float32":
            traits["operand_rounding"] = TF32_ROUNDING
        return Format.of(dtype, **traits)

    @property
    def knows_device(self) -> bool:
        """Whether it is an engine that supports the requested device, which is not the CPU."""
        return self.engine is not None and engines.kind_of(self.device) in self.engine.devices

    @property
    def runs_on(self) -> str:
        """The device on which it computes."""
        return self.device if self.knows_device else CPU

    def launch(self, place: Environment) -> Launch:
        """The launch of its worker."""
        if self.spec.program:
            return Launch([str(place.python)])
        if self.engine:
            where: dict[str, Any] = {"device": self.device, "tf32": self.tf32} if self.knows_device else {}
            where |= {self.runs: self.spec.name} if self.runs else {}
            return hosted(place.python, backend=str(self.engine.path), **where)
        return hosted(place.python, gradient=self.spec.name)


def choose(
    specs: Sequence[str], problem: Problem, device: str = CPU, tf32: bool = False, order: int = 1
) -> list[Selected]:
    """The backends to run: the named ones, or those that the problem names itself.

    Engines compute on the device; hand-written gradients and programs choose their device themselves.

    Raises:
        RequestError: a name means no backend, or comes twice; there is no backend; TF32 is requested on the CPU.
    """
    if tf32 and device == CPU:
        raise RequestError("tf32: expected with a device such as cuda")
    if specs:
        return selected(specs, problem, device, tf32)
    named = default_backends(problem, device, order)
    try:
        return selected(named, problem, device, tf32)
    except RequestError as error:
        raise RequestError(f"{problem.path}: backends: {error}") from None


def selected(specs: Sequence[str], problem: Problem, device: str, tf32: bool) -> list[Selected]:
    """The backend that each name means.

    Raises:
        RequestError: a name means no backend, or comes twice.
    """
    backends: list[Selected] = []
    for text in specs:
        spec = engines.parse(text)
        if spec in (backend.spec for backend in backends):
            raise RequestError(f"backend {text!r}: named twice: expected each backend once")
        if spec.name in problem.engines and not spec.program:
            backends.append(in_engine(spec, problem, device, tf32))
            continue
        is_engine = not spec.program and spec.name not in problem.gradients
        if spec.version and not is_engine:
            raise RequestError(f"backend {text!r}: a hand-written gradient has no releases: expected {spec.name}")
        engine = known_engine(spec, problem.gradients).on(device) if is_engine else None
        home = home_of(spec, device, is_engine)
        if problem.engine and not (engine or spec.program or spec.python or home):
            home = known_engine(Spec(problem.engine)).on(device)  # which the file imports
        backends.append(Selected(spec, engine, device, tf32, home))
    return backends


def in_engine(spec: Spec, problem: Problem, device: str, tf32: bool) -> Selected:
    """A function of a problem's file that computes in an engine's own arrays.

    Raises:
        RequestError: there is no such engine, or the name asks for another one.
    """
    name = problem.engines[spec.name]
    if spec.home:
        forms = f"{spec.name}, {spec.name}==VERSION or {spec.name}@/path/to/python"
        raise RequestError(f"backend {str(spec)!r}: it computes in the arrays of {name}: expected {forms}")
    engine = engines.find(name)
    if engine is None:
        meant = did_you_mean(name, engines.paths())
        raise RequestError(f"{problem.path}: {spec.name}: no engine {name!r}: {meant}expected one, such as 'torch'")
    runs = "implementation" if spec.name in problem.implementations else "gradient"
    return Selected(spec, engine.on(device), device, tf32, runs=runs)


def foreseen(settings: Settings) -> dict[str, Launch]:
    """How workers are started that a request seems to need, before its problem's file is read.

    A plain name that is none of our engines' is that of a gradient in the file, as a rule. Its worker imports NumPy,
    and so does this process to read the file: side by side, that takes the time of one import.

    Raises:
        RequestError: what is named is no backend.
    """
    specs = [engines.parse(text) for text in settings.backend]
    return {
        str(spec): hosted(spec.python or Path(sys.executable), gradient=spec.name)
        for spec in specs
        if not (spec.program or spec.version or spec.home or spec.name == ORIGINAL or engines.own_path(spec.name))
    }


def home_of(spec: Spec, device: str, is_engine: bool) -> EngineDeclaration | None:
    """The engine in whose environment a hand-written gradient runs, as installed for a device.

    Raises:
        RequestError: there is no such engine, or the backend is not a hand-written gradient.
    """
    if spec.home is None:
        return None
    if is_engine:
        forms = f"{spec.name}, {spec.name}==VERSION or {spec.name}@/path/to/python"
        fault = f"{spec.name} is an engine with an environment of its own"
        raise RequestError(f"backend {str(spec)!r}: {fault}: expected {forms}")
    engine = engines.find(spec.home.name)
    if engine is None:
        meant = did_you_mean(spec.home.name, engines.paths())
        forms = f"an engine, such as {spec.name}@torch, or a path, such as {spec.name}@./{spec.home}"
        raise RequestError(f"backend {str(spec)!r}: no engine {spec.home.name!r}: {meant}expected {forms}")
    return engine.on(device)


def default_backends(problem: Problem, device: str = CPU, order: int = 1) -> Sequence[str]:
    """The backends that a problem names itself, without engines that lack the device, unless all engines lack it.

    Gradients are requested in order 1, and products of the Hessian in order 2, if there are any.

    Raises:
        RequestError: it names none.
    """
    if not problem.backends:
        expected = 'expected -b torch, for example, or backends = ("torch",) in the file; in Python backends=["torch"]'
        raise RequestError(f"{problem.path}: has no gradients of its own and names no backends: {expected}")
    named = [text for text in problem.backends if problem.has_order(text, order)] or problem.backends
    if device == CPU:
        return named
    found = {text: engines.find(text.partition("==")[0]) for text in named}
    known = [text for text, engine in found.items() if engine is None or engines.kind_of(device) in engine.devices]
    return known or named


def engines_on(device: str) -> list[str]:
    """The engines that support a device other than the CPU."""
    return [engine.name for engine in known_engines() if engines.kind_of(device) in engine.devices]


def known_engine(spec: Spec, others: Sequence[str] = ()) -> EngineDeclaration:
    """The engine that a backend's name means; `others` are other valid names.

    Raises:
        RequestError: there is none.
    """
    found = engines.find(spec.name)
    if found is None:
        if spec.name in SHIPPED_GRADIENTS:
            expected = "expected a gradient that the problem's file names in `gradients`, or an engine, such as torch"
            raise RequestError(f"backend {str(spec)!r}: a hand-written gradient of shipped problems: {expected}")
        known = dict.fromkeys((*others, *engines.paths()))
        raise RequestError(f"backend {str(spec)!r}: unknown: {expected_one_of(spec.name, known)}")
    return found


def known_engines() -> list[EngineDeclaration]:
    """Every engine, for the CPU."""
    return [known_engine(Spec(name)) for name in engines.paths()]


@dataclass(frozen=True)
class Selection:
    """The requested backends of a run in their order, where each runs, and why the others cannot run."""

    backends: Sequence[Selected]
    places: Mapping[str, Environment]
    failures: Mapping[str, Failure]

    @property
    def specs(self) -> dict[str, Spec]:
        """The backends by key."""
        return {backend.key: backend.spec for backend in self.backends}

    def launches(self) -> dict[str, Launch]:
        """The launches of the workers."""
        return {
            backend.key: backend.launch(self.places[backend.key])
            for backend in self.backends
            if backend.key in self.places
        }


def place(
    backends: Sequence[Selected],
    settings: Settings,
    building: Building,
    known: dict[Place, Environment],
    before_building: Callable[[], None] = lambda: None,
) -> Selection:
    """Find where each backend runs, and build its environment if necessary; add the result to `known`.

    Building takes a minute: `before_building` may refuse the request first; else it is checked while workers start.
    """
    found = {backend.spec: located(backend, settings.dtype, settings.order, known) for backend in backends}
    if not settings.no_build:
        lacking = {
            backend.spec: backend.environment
            for backend in backends
            if backend.environment and is_buildable(found[backend.spec])
        }
        if lacking:
            before_building()
            built = Builder(building).build(dict(lacking.values()))
            found |= {spec: built[named] for spec, (named, _) in lacking.items()}
    places: dict[str, Environment] = {}
    failures: dict[str, Failure] = {}
    for backend in backends:
        spec, where = backend.spec, found[backend.spec]
        if isinstance(where, Environment):
            places[str(spec)] = known[backend.place] = where
        else:
            failures[str(spec)] = where if isinstance(where, Failure) else Failure(Verdict.UNAVAILABLE, where.reason)
    return Selection(backends, places, failures)


def located(
    backend: Selected, dtype: str, order: int, known: Mapping[Place, Environment]
) -> Environment | Missing | Failure:
    """Where a backend runs without building, or why it cannot."""
    if backend.spec.program and order > 1:
        return Failure(Verdict.UNSUPPORTED, "a program answers with gradients alone, of order 1")
    if backend.engine and backend.device != CPU and not backend.knows_device:
        others = ", ".join(engines_on(backend.device))
        return Failure(
            Verdict.UNSUPPORTED, f"{backend.spec.name} computes on the CPU only: {others} support {backend.device}"
        )
    if backend.knows_device and not any(path.exists() for path in NVIDIA_DRIVERS):
        return Missing(f"no {backend.device} here: this machine has no NVIDIA driver")  # no need to build several GB
    if dtype in backend.lacks:
        return Failure(Verdict.UNSUPPORTED, backend.lacks[dtype])
    if backend.place in known:
        return known[backend.place]
    if backend.spec.program_path:
        return located_program(backend.spec.program_path)
    if backend.home and backend.environment:
        where = environments.find(*backend.environment)
        return replace(where, version=None) if isinstance(where, Environment) else where  # it is the engine's
    if backend.engine is None:
        return Environment(backend.spec.python or Path(sys.executable), "current")
    named, engine = backend.environment or (backend.spec, backend.engine)
    return environments.find(named, engine)


def explained(failure: Failure, spec: Spec, place: Environment, started: bool) -> Failure:
    """Why a backend gave no answer, and what to do if its managed environment cannot even start it."""
    last = failure.details.rstrip().rpartition("\n")[2]
    broken = failure.verdict is Verdict.CRASHED or last.startswith(("ImportError", "ModuleNotFoundError"))
    if place.where != "managed" or started or not broken:
        return failure
    named = spec.home or spec
    remedy = f"gradcheck backends remove {named} && gradcheck backends build {named}"
    return replace(failure, reason=f"{failure.reason}: its environment is damaged: build it again with: {remedy}")


def located_program(path: Path) -> Environment | Missing:
    """A program in the role of an interpreter, or why it cannot be run."""
    if not path.exists():
        return Missing(f"{path} does not exist: expected an executable file")
    if not path.is_file():
        return Missing(f"{path} is not a file: expected an executable file")
    if not os.access(path, os.X_OK):
        return Missing(f"{path} is not executable: expected an executable file (chmod +x)")
    return Environment(path, "program")


def is_buildable(where: Environment | Missing | Failure) -> bool:
    """Whether building an environment would help."""
    return isinstance(where, Missing) and where.buildable
