"""The workers that load problems' files in an engine's own code: no other process needs the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcheck.backends._worker.whole_files import ORIGINAL
from gradcheck.errors import EngineUnavailable, ProblemError
from gradcheck.execution import array_files, engines, environments
from gradcheck.execution.engines import Spec
from gradcheck.execution.environments import Builder, Building, Environment
from gradcheck.execution.pool import Launch, Pool, hosted
from gradcheck.execution.worker import Failure
from gradcheck.problems._paths import folders
from gradcheck.results import Verdict


@dataclass(frozen=True)
class Authors:
    """Finds, or builds, the engine of a file, and starts the worker that loads the file.

    Attributes:
        pool: has the workers, one for each interpreter.
        building: receives the progress of an environment; None if none may be built.
        timeout: seconds that a worker has to import its framework, and again for each answer.
        backends: those of the run: an interpreter in `original@/path/to/python` loads the file too.
    """

    pool: Pool
    building: Building | None
    timeout: float
    backends: Sequence[str] = ()

    def __call__(self, name: str, path: Path) -> FileWorker:
        """The author of a file that is written in an engine's own code.

        Raises:
            EngineUnavailable: the engine is not installed, and cannot be.
        """
        engine = engines.find(name)
        assert engine is not None, "it has a front end"
        spec = Spec(name, python=self.interpreter)
        place = environments.find(spec, engine)
        if not isinstance(place, Environment) and place.buildable and self.building:
            place = Builder(self.building).build({spec: engine})[spec]
        if not isinstance(place, Environment):
            raise EngineUnavailable(f"{path}: it is written in {name}, which is unavailable: {place.reason}")
        launch = hosted(place.python, backend=str(engine.path))
        return FileWorker(self.pool, f"{name}@{place.python}", launch, self.timeout, path)

    @property
    def interpreter(self) -> Path | None:
        """The interpreter that the user names for the file's own code."""
        specs = [engines.parse(text) for text in self.backends]
        return next((spec.python for spec in specs if spec.name == ORIGINAL and spec.python), None)


@dataclass(frozen=True)
class FileWorker:
    """A file in a worker of its engine: what `gradcheck.backends._worker.authoring.Author` answers.

    Attributes:
        pool: of the worker.
        key: of it there.
        launch: of it.
        timeout: in seconds.
        path: of the file.
    """

    pool: Pool
    key: str
    launch: Launch
    timeout: float
    path: Path

    def __call__(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """See `gradcheck.problems._whole_files.Asking`."""
        self.pool.start({self.key: self.launch}, self.timeout)
        arrays = array_files.Inputs(parameters.pop("known", {}))
        with contextlib.closing(arrays), self.pool.folder_of(self.key) as folder:
            wired = {"known": arrays.message(folder), "folder": str(folder), **parameters}
            file = {"problem": str(self.path), "folders": folders(self.path)}
            found = self.pool.ask(self.key, method, **file, **wired)
            if isinstance(found, Failure):
                raise self._error(method, found)
            return {**found, "arrays": _loaded(found.get("arrays", {}))}

    def _error(self, method: str, failure: Failure) -> Exception:
        """A failure as an error of the file, or of its engine."""
        if self.key not in self.pool.started:
            return EngineUnavailable(f"{self.path}: its engine does not start in {self.key}: {failure.reason}")
        if failure.verdict is Verdict.UNAVAILABLE:
            expected = f"expected a module beside the file, or one that is installed in {self.key.partition('@')[2]}"
            return ProblemError(
                f"{self.path}: loading raised {failure.reason}: {expected}; "
                f"write -b {ORIGINAL}@/path/to/python for an interpreter that has it"
            )
        if failure.verdict is Verdict.TIMED_OUT:
            return ProblemError(f"{self.path}: {method} took longer than {self.timeout:g} s: expected code that ends")
        known = failure.reason.startswith("/")
        return ProblemError(failure.reason if known else f"{self.path}: {failure.reason}")


def _loaded(paths: Mapping[str, str]) -> dict[str, Any]:
    import numpy as np

    return {name: np.load(path, allow_pickle=False) for name, path in paths.items()}
