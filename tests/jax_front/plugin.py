"""pytest's fixture in a process with JAX: `python -m tests.jax_front.plugin FILE` prints the run's output."""

from __future__ import annotations

import sys

import pytest


def main() -> None:
    """Run the tests of a file."""
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", sys.argv[1]])
