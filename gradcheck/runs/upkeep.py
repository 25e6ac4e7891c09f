"""The managed environments of engines, by the names that users give."""

from __future__ import annotations

from collections.abc import Sequence

from gradcheck.errors import RequestError
from gradcheck.execution import engines, environments
from gradcheck.execution.engines import EngineDeclaration, Spec
from gradcheck.execution.environments import Builder, Building, Environment, Kept, Missing
from gradcheck.execution.selection import known_engine, known_engines


def build(names: Sequence[str], building: Building) -> dict[str, Environment | Missing]:
    """Build the environments of engines.

    Raises:
        RequestError: a name means no engine with a managed environment.
    """
    requested = {spec: known_engine(spec) for spec in map(engines.parse, names)}
    for spec in requested:
        if spec.python or spec.home:
            raise RequestError(f"backend {str(spec)!r}: has an interpreter of its own: expected NAME or NAME==VERSION")
    found = {spec: environments.locate(spec, engine) for spec, engine in requested.items()}
    wanted = {spec: requested[spec] for spec, where in found.items() if isinstance(where, Missing)}
    built = Builder(building).build(wanted)
    return {str(spec): built.get(spec, where) for spec, where in found.items()}


def remove(names: Sequence[str]) -> dict[str, int]:
    """Remove the managed environments of engines, of one release or of all; those of one distribution share them.

    Returns:
        For each distribution, or release of one, how many were complete.

    Raises:
        RequestError: a name means no engine, or an environment cannot be removed.
    """
    specs = [engines.parse(name) for name in names]
    for spec in specs:
        if spec.python or spec.home or spec.program:
            raise RequestError(f"backend {str(spec)!r}: has no managed environment: expected NAME or NAME==VERSION")
    wanted = dict.fromkeys((known_engine(spec).distribution, spec.version) for spec in specs)
    return {
        f"{distribution}=={version}" if version else distribution: environments.remove(distribution, version)
        for distribution, version in wanted
    }


def prune(unused_for: int, dry_run: bool) -> list[tuple[Kept, str]]:
    """Remove unneeded managed environments, and return why; see `gradcheck.execution.environments.prune`."""
    return environments.prune(installable(), unused_for, dry_run)


def listing() -> list[tuple[EngineDeclaration, Environment | Missing]]:
    """Every engine, and where it would run."""
    return [(engine, environments.locate(Spec(engine.name), engine)) for engine in known_engines()]


def kept() -> list[Kept]:
    """Every managed environment, complete or half built."""
    return environments.survey(installable())


def installable() -> list[EngineDeclaration]:
    """Every engine as it is installed for each device that it knows."""
    return [engine.on(device) for engine in known_engines() for device in ("cpu", *engine.devices)]
