"""The notebooks of docs/: `python -m tools.notebook` executes them, and writes their outputs; the site renders them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def executed(path: Path) -> Any:
    """A notebook with the outputs of its cells, computed now; the folder of the user is `~` in them.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raises an exception.
    """
    notebook = importlib.import_module("nbformat").read(path, as_version=4)
    client = importlib.import_module("nbclient").NotebookClient(
        notebook, timeout=300, kernel_name="python3", record_timing=False
    )
    client.execute()
    notebook["metadata"].pop("language_info", None)
    for output in (each for cell in notebook["cells"] for each in cell.get("outputs", [])):
        for kind, text in output.get("data", {}).items():
            output["data"][kind] = text.replace(str(Path.home()), "~")
    return notebook


def markdown(notebook: Any) -> str:
    """A notebook as Markdown: its text, its code, and the outputs."""
    return "\n\n".join(part for cell in notebook["cells"] for part in parts(cell)) + "\n"


def parts(cell: Any) -> Iterator[str]:
    """A cell as blocks of Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    yield from map(shown, cell["outputs"])


def shown(output: Any) -> str:
    """An output as Markdown: a picture, or HTML, or else text."""
    data = output["data"] if "data" in output else {"text/plain": output["text"]}
    text = "".join(data["text/plain"]).rstrip()
    if "image/png" in data:
        return f'<img alt="{text}" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    return "".join(data["text/html"]) if "text/html" in data else f"```text\n{text}\n```"


def main() -> None:
    """Execute all notebooks, and write their outputs."""
    for path in sorted((ROOT / "docs").rglob("*.ipynb")):
        importlib.import_module("nbformat").write(executed(path), path)


if __name__ == "__main__":
    main()
