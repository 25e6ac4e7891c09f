"""Output on standard error while a command works: notices, and a progress display on a terminal."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from gradcheck.text.escaping import escaped

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

AROUND = len("⠋  0:00:00 ")  # columns of a line beside its text


class TerminalListener:
    """Shows the progress of a run. On a terminal each environment under construction has a line with a clock."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._waiting: TaskID | None = None
        self._guard = threading.Lock()  # several building threads report, and one display serves them all

    def __enter__(self) -> TerminalListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quiet()

    def building(self, spec: str, text: str) -> None:
        """An environment is under construction: `text` states its progress."""
        if not sys.stderr.isatty():
            sys.stderr.write(f"gradcheck: {escaped(f'{spec}: {text}')}\n")  # in one piece: several threads report
            return
        with self._guard:
            progress = self._display()
        if spec not in self._tasks:
            self._tasks[spec] = progress.add_task("", total=None)
        progress.update(self._tasks[spec], description=fitting(progress, f"{spec}: {text}"))

    def built(self, spec: str, complete: bool) -> None:
        """An environment is complete, or cannot be built."""
        if self._progress is not None and spec in self._tasks:
            line = fitting(self._progress, f"{spec}: {'✓ complete' if complete else '✗ cannot be built'}")
            self._progress.update(self._tasks.pop(spec), total=1, completed=1, description=line)

    def evaluating(self, specs: list[str]) -> None:
        """Workers have started."""
        if sys.stderr.isatty() and self._bar is None:
            progress = self._display()
            if self._waiting is None:
                self._waiting = progress.add_task("", total=None)
            progress.update(self._waiting, description=fitting(progress, f"waiting for {', '.join(specs)}"))

    def notice(self, text: str) -> None:
        """A sentence about the run for its user."""
        self.quiet()
        print(f"gradcheck: {escaped(text)}", file=sys.stderr, flush=True)

    def details(self, spec: str, text: str) -> None:
        """A backend failed: the end of its traceback or of what it printed."""
        if not text:
            return
        self.quiet()
        lines = text.splitlines()[-12:]
        print("\n".join(escaped(f"{spec}: {line}") for line in lines), file=sys.stderr, flush=True)

    def progress(self, done: int, total: int) -> None:
        """Some of all cases have an outcome: on a terminal a bar shows the rate and the time that is left."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self.quiet()
            self._bar = bar_of_cases()
            self._bar.start()
            self._bar.add_task("", total=total)
        self._bar.update(self._bar.task_ids[0], completed=done)

    def quiet(self) -> None:
        """Remove the progress display."""
        for display in (self._progress, self._bar):
            if display is not None:
                display.stop()
        self._progress = self._bar = self._waiting = None

    def _display(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self._progress


def bar_of_cases() -> Progress:
    """A progress bar of many cases."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Cases a second."""

        def render(self, task: Task) -> Text:
            """The rate of the last cases."""
            return Text(f"{task.speed:,.0f} cases/s" if task.speed else "")

    columns = (BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def fitting(progress: Progress, line: str) -> str:
    """As much of a line as fits the terminal: lines that wrap are hard to follow."""
    return escaped(line)[: max(progress.console.width - AROUND, 1)]
