"""Find the interpreter in which a backend's framework is installed, or build one with uv, and keep it.

A managed environment is a folder in the user's cache, with a manifest beside it that lists its content; see `manifest`.
"""

from gradcheck.execution.environments.building import Builder, Building
from gradcheck.execution.environments.finding import Environment, Missing, find, locate
from gradcheck.execution.environments.upkeep import Kept, State, prune, remove, survey
from gradcheck.execution.environments.variables import scrubbed

__all__ = [
    "Builder", "Building", "Environment", "Kept", "Missing", "State",
    "find", "locate", "prune", "remove", "scrubbed", "survey",
]  # fmt: skip
