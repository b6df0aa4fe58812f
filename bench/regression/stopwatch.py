"""Asks processes for the times of workloads. Never imports torch."""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import click

from bench.regression.baseline import ROOT
from bench.regression.children import ours

SCRIPT = Path(__file__).parent / "workloads.py"


class Stopwatch:
    """A process that times workloads of one checkout's packages, with one thread; a context manager.

    Args:
        tree: the checkout.
        python: the interpreter.
    """

    def __init__(self, tree: Path = ROOT, python: str = sys.executable) -> None:
        self.tree, self.python = tree, python

    def __enter__(self) -> "Stopwatch":
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(  # noqa: S603  # our own script, no shell
            [self.python, str(SCRIPT)],
            cwd=self.tree,
            env=ours(self.tree),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._errors, self._process:
            if kind is not None:
                self._process.kill()

    def seconds(self, workload: str) -> float:
        """Return the processor seconds of one run of a workload.

        Args:
            workload: a key of ``bench.regression.workloads.workloads()``.

        Raises:
            click.ClickException: if it does not run with this checkout.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{workload}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            raise click.ClickException(f"cannot time {workload!r} with the code in {self.tree}: {last}")
        return float(answer)
