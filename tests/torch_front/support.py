"""The committed dumps, read without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "data" / "torch"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def dump(name: str) -> dict[str, Any]:
    """A dump, and PyTorch's answers with it."""
    read = json.loads((FOLDER / f"{name}.json").read_text())
    return {
        **read,
        **{kind: {name: array(each) for name, each in read[kind].items()} for kind in ("arrays", "answers")},
    }


def array(given: dict[str, Any]) -> np.ndarray:
    return np.array(given["data"], given["dtype"]).reshape(given["shape"])
