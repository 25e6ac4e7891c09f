"""The threads of OpenBLAS, which NumPy and MXNet compute with, when they have nothing to do."""

from __future__ import annotations

from collections.abc import MutableMapping

VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
CYCLES = "20"
"""As a power of two (OpenBLAS, Runtime variables): a third of a millisecond. Its own are 2²⁶, some 25 ms."""


def let_sleep(environment: MutableMapping[str, str]) -> None:
    """Make threads without work sleep soon, in processes that read these variables, unless the user sets them.

    As it is shipped, importing NumPy keeps a second core busy with waiting, and our processes import it side by side.
    """
    environment.setdefault(VARIABLE, CYCLES)
