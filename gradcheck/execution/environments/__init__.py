"""Find the interpreter in which a backend's framework is installed, or build one with uv, and keep what is built.

A managed environment is a folder in the user's cache, beside which a manifest says what is in it; see `manifest`.
"""

from gradcheck.execution.environments.building import Builder, Building
from gradcheck.execution.environments.finding import Environment, Missing, find, locate
from gradcheck.execution.environments.upkeep import Kept, State, prune, remove, survey
from gradcheck.execution.environments.variables import scrubbed

__all__ = [
    "Builder", "Building", "Environment", "Kept", "Missing", "State",
    "find", "locate", "prune", "remove", "scrubbed", "survey",
]  # fmt: skip
