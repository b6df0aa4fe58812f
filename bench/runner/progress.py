"""Progress of long work, on stderr: on a terminal a live list of what runs, elsewhere plain lines."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_INTERVAL_S = 15.0
SHOWN = 8
"""Running cells that a terminal lists."""


class CellReporter(Protocol):
    """What receives the progress of one cell."""

    def detail(self, text: str) -> None:
        """Say how the cell is coming along."""


class RunningCell:
    """One cell that has begun."""

    def __init__(self, reporter: "Reporter", label: str) -> None:
        self.label, self.text = label, ""
        self._reporter = reporter
        self.last_line = time.monotonic()

    def detail(self, text: str) -> None:
        """Say how the cell is coming along; on plain output at most every ``PLAIN_INTERVAL_S`` seconds."""
        self.text = text
        if not self._reporter.live_now and time.monotonic() - self.last_line > PLAIN_INTERVAL_S:
            self.last_line = time.monotonic()
            self._reporter.line(f"{self.label}: {text}")

    def finish(self, text: str, *, failed: bool = False, measured: bool = True) -> None:
        """Close the cell with its result.

        Args:
            text: the result.
            failed: whether it counts as failed.
            measured: whether it took its time; what was stored already says nothing about the time left.
        """
        self._reporter.close(self, text, failed=failed, measured=measured)


class Reporter:
    """Reports the progress of a list of cells, of which several may run at once.

    Args:
        total: how many cells there are.
        stream: where to write; stderr by default, so that stdout stays machine readable.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.done, self.failed, self.measured = total, 0, 0, 0
        self.stream = stream or sys.stderr
        self.running: list[RunningCell] = []
        self._live: Live | None = None
        self._started = time.monotonic()
        self._lock = threading.RLock()

    @property
    def live_now(self) -> bool:
        """Whether a terminal shows what runs."""
        return self._live is not None

    @contextmanager
    def live(self) -> Iterator["Reporter"]:
        """Show what runs, on a terminal, for as long as the block runs."""
        if not self.stream.isatty():
            yield self
            return
        console = Console(file=self.stream)
        with Live(get_renderable=lambda: self.render(console.width), console=console, transient=True) as self._live:
            yield self
        self._live = None

    def begin(self, label: str) -> RunningCell:
        """Name a cell that begins."""
        cell = RunningCell(self, label)
        with self._lock:
            self.running.append(cell)
        return cell

    def start(self, label: str) -> None:
        """Name the only cell that runs."""
        self.begin(label)

    def detail(self, text: str) -> None:
        """Say how the cell that began last is coming along."""
        self.running[-1].detail(text)

    def finish(self, text: str) -> None:
        """Close the cell that began last."""
        self.running[-1].finish(text)

    def close(self, cell: RunningCell, text: str, *, failed: bool, measured: bool) -> None:
        """Count a cell as done, and print its result."""
        with self._lock:
            self.running.remove(cell)
            self.done, self.failed = self.done + 1, self.failed + failed
            self.measured += measured
            left = "" if self.live_now else self.time_left()
            self.line(f"[{self.done}/{self.total}] {cell.label}: {text}" + (f" ({left})" if left else ""))

    def line(self, text: str) -> None:
        """Print a line, above the live list where there is one."""
        with self._lock:
            if self._live is None:
                print(text, file=self.stream, flush=True)
            else:
                self._live.console.print(Text(text), soft_wrap=True)

    def time_left(self) -> str:
        """Return about how long the rest takes, by the mean of what was measured; empty where that is not known."""
        left = self.total - self.done
        seconds = (time.monotonic() - self._started) / self.measured * left if self.measured else 0
        return f"about {_duration(seconds)} left" if seconds >= 1 else ""

    def render(self, width: int) -> RenderableType:
        """Lay out the live list: every running cell, then the bar and the counts.

        Args:
            width: of the terminal, in columns; where a cell's name and detail do not fit on one line, they take two.
        """
        with self._lock:
            running = list(self.running)
        lines = [_one_line(line) for cell in running[:SHOWN] for line in _lines(cell, width)]
        if len(running) > SHOWN:
            lines.append(_one_line(f"and {len(running) - SHOWN} more"))
        counts = [f"{self.done}/{self.total} done", f"{len(running)} running"]
        counts += [f"{self.failed} failed"] * bool(self.failed) + [self.time_left() or _duration(self._elapsed())]
        foot = Table.grid(expand=True, padding=(0, 1))
        foot.add_column(ratio=1, min_width=10)
        foot.add_column(no_wrap=True, justify="right")
        foot.add_row(ProgressBar(total=max(self.total, 1), completed=self.done), ", ".join(counts))
        return Group(*lines, foot)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def _lines(cell: RunningCell, width: int) -> tuple[str, ...]:
    whole = f"{cell.label}: {cell.text}" if cell.text else cell.label
    return (whole,) if len(whole) <= width or not cell.text else (cell.label, f"  {cell.text}")


def _one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
