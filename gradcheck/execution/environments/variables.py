"""Environment variables: which of the caller's reach workers and uv, and which do not."""

from __future__ import annotations

from collections.abc import Mapping

# Variables of a caller's shell that would make another interpreter use packages that are not its own.
LEAKS = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__")
LEAKING = ("PYTHON", "CONDA_")

# The caller decides uv's settings of where packages come from and what is trusted (indexes, credentials, certificates,
# hashes, dates) and of how uv works (caches, timeouts). The settings below choose the packages of an environment, which
# only its requirements may do, or make uv read the settings of another folder. Settings that name an interpreter or a
# place, such as UV_PYTHON, UV_SYSTEM_PYTHON and VIRTUAL_ENV, have no effect, since uv gets the interpreter explicitly.
REDIRECTING = (
    "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_RESOLUTION", "UV_PRERELEASE",
    "UV_NO_BUILD_ISOLATION", "UV_VENV_SEED", "UV_PROJECT", "UV_WORKING_DIR",
)  # fmt: skip

# pip's setting -> the UV_ settings that replace it; it is passed on as the first of them.
HANDED_ON = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
}


def index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, as UV_ settings: those of the caller, and pip's where no UV_ setting replaces them."""
    names = [name for several in HANDED_ON.values() for name in several]
    settings = {name: environment[name] for name in (*names, "UV_TORCH_BACKEND") if environment.get(name)}
    for theirs, ours in HANDED_ON.items():
        if environment.get(theirs) and not any(name in settings for name in ours):
            # pip separates several by spaces; uv separates folders of links by commas and indexes by spaces.
            separator = "," if theirs == "PIP_FIND_LINKS" else " "
            settings[ours[0]] = separator.join(environment[theirs].split())
    return settings


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of uv."""
    kept = {name: value for name, value in scrubbed(environment).items() if name not in REDIRECTING}
    return kept | index_settings(environment)


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those that would make another interpreter use this one's packages."""
    return {name: value for name, value in environment.items() if name not in LEAKS and not name.startswith(LEAKING)}
