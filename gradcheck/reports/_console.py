"""The console on which rich writes a report."""

from __future__ import annotations

import io
from typing import TextIO

from rich.console import Console


def console_of(stream: TextIO, width: int | None = None) -> Console:
    """A console that writes into a stream alone, without colours where the stream keeps a text.

    Rich would display each line by itself in a notebook, whose kernel asks for colours too (FORCE_COLOR).
    """
    keeps_text = isinstance(stream, io.StringIO) and not stream.isatty()
    return Console(
        file=stream,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        force_jupyter=False,
        force_terminal=False if keeps_text else None,
    )
