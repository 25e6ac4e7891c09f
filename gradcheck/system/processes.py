"""Other processes of this machine."""

from __future__ import annotations

import os
from pathlib import Path


def identity(pid: int) -> str | None:
    """What tells a running process from a later one with the same id, where the system has it; None if it has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if state in "ZX" else fields[18]  # when it started, in ticks since the system's start
