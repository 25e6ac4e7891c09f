"""Environment variables: what of the caller's reaches workers and uv, and what does not."""

from __future__ import annotations

from collections.abc import Mapping

# What a caller's shell may hold and what leads another interpreter to packages that are not its own.
LEAKS = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__")
LEAKING = ("PYTHON", "CONDA_")

# uv's settings of where packages come from and what is trusted (indexes, credentials, certificates, hashes, dates) and
# of how uv works (caches, how long it waits) are the caller's. These say which packages an environment holds, which its
# requirements have to say alone, or have uv read the settings of another folder. Those that name an interpreter or a
# place, such as UV_PYTHON, UV_SYSTEM_PYTHON and VIRTUAL_ENV, give way to the one that uv is given.
REDIRECTING = (
    "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_RESOLUTION", "UV_PRERELEASE",
    "UV_NO_BUILD_ISOLATION", "UV_VENV_SEED", "UV_PROJECT", "UV_WORKING_DIR",
)  # fmt: skip

# pip's setting -> the UV_ settings any of which takes its place, the first of which it is handed on as.
HANDED_ON = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
}


def index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, as UV_ settings: those of the caller, and pip's where no UV_ setting says otherwise."""
    names = [name for several in HANDED_ON.values() for name in several]
    settings = {name: environment[name] for name in (*names, "UV_TORCH_BACKEND") if environment.get(name)}
    for theirs, ours in HANDED_ON.items():
        if environment.get(theirs) and not any(name in settings for name in ours):
            # pip separates several by spaces; uv separates folders of links by commas and indexes by spaces.
            separator = "," if theirs == "PIP_FIND_LINKS" else " "
            settings[ours[0]] = separator.join(environment[theirs].split())
    return settings


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables in which uv runs."""
    kept = {name: value for name, value in scrubbed(environment).items() if name not in REDIRECTING}
    return kept | index_settings(environment)


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables less those that would lead another interpreter to this one's packages."""
    return {name: value for name, value in environment.items() if name not in LEAKS and not name.startswith(LEAKING)}
