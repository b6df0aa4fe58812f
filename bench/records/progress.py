"""Progress for long work: a live bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_INTERVAL_S = 15.0


class Reporter:
    """Reports the progress of a list of cells.

    Args:
        total: how many cells there are.
        stream: where to write; stderr by default, so that stdout stays machine readable.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self.stream = stream or sys.stderr
        self._progress: Progress | None = None
        self._started = time.monotonic()
        self._last_line = self._started
        self._label = ""

    @contextmanager
    def live(self) -> Iterator["Reporter"]:
        """Show the bar, on a terminal, for as long as the block runs."""
        if not self.stream.isatty():
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(file=self.stream), transient=True) as progress:
            self._progress = progress
            self._bar = progress.add_task("", total=self.total)
            yield self
        self._progress = None

    def start(self, label: str) -> None:
        """Name the cell that begins."""
        self._label = label
        if self._progress is not None:
            self._progress.update(self._bar, description=label)

    def detail(self, text: str) -> None:
        """Say how the present cell is coming along; rarely on plain output."""
        now = time.monotonic()
        if self._progress is not None:
            self._progress.update(self._bar, description=f"{self._label}: {text}")
        elif now - self._last_line > PLAIN_INTERVAL_S:
            self._line(f"{self._label}: {text}")

    def finish(self, text: str) -> None:
        """Close the present cell with its result."""
        self.done += 1
        if self._progress is not None:
            self._progress.console.print(f"{self._label}: {text}", highlight=False)
            self._progress.update(self._bar, completed=self.done)
        else:
            self._line(f"[{self.done}/{self.total}] {self._label}: {text}{self._time_left()}")

    def _time_left(self) -> str:
        left = self.total - self.done
        if not left:
            return ""
        seconds = (time.monotonic() - self._started) / self.done * left
        return f" (about {seconds:.0f} s left)" if seconds >= 1 else ""

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        print(text, file=self.stream, flush=True)
