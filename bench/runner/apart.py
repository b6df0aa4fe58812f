"""Answers cells in processes of their own: a crash, a hang or a lack of memory costs nothing but the cell.

A process answers the cells of one group, one after another, and tells each answer at once. One that dies or hangs is
started again with the cells that are left.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.records import Status
from bench.runner.attempt import attempt
from bench.runner.cell import Measure, Outcome
from bench.runner.forked import GONE_S, ForkServer, Stopped, end
from bench.runner.progress import CellReporter
from bench.runner.running import Limits

RETRIES = 2
"""Further attempts after a crash or a time-out."""
POLL_S = 0.5
TELL_S = 0.2
"""Seconds between two words on progress that a process sends."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a process has that answers cells.

    Attributes:
        threads: of torch; 0 leaves them as they are.
        environment: all variables, set before a GPU is touched.
        memory_bytes: as of ``Limits``.
    """

    threads: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Errand:
    """A cell on its way to another process: how it is answered, and the file for what it prints."""

    measure: Measure
    log: Path


def answers(
    errands: Sequence[Errand],
    reporter: CellReporter,
    server: ForkServer,
    limits: Limits,
    surroundings: Surroundings,
) -> Iterator[Outcome]:
    """Yield how each cell ended, in order, as soon as it is known.

    Args:
        errands: of one group.
        reporter: told about the progress of the cell whose outcome comes next.
        server: starts the processes.
        limits: of every cell.
        surroundings: of the processes.

    Raises:
        Stopped: if the server was stopped.
    """
    done, attempts = 0, 0
    while done < len(errands):
        with _process(server, errands[done:], surroundings) as (process, messages):
            while done < len(errands):
                outcome = _outcome(process, messages, reporter, limits)
                if server.stopped:
                    raise Stopped
                attempts += 1
                if not (outcome.again and attempts <= RETRIES):
                    yield _told(outcome, attempts, errands[done].log)
                    done, attempts = done + 1, 0
                if outcome.again:
                    break  # what is left needs another process


@contextmanager
def _process(
    server: ForkServer, errands: Sequence[Errand], surroundings: Surroundings
) -> Iterator[tuple[BaseProcess, Connection]]:
    ours, theirs = server.pipe()
    process = server.start(_serve, theirs, tuple(errands), surroundings)
    theirs.close()
    try:
        yield process, ours
    finally:
        end(process)
        ours.close()


def _outcome(process: BaseProcess, messages: Connection, reporter: CellReporter, limits: Limits) -> Outcome:
    """Wait for a cell's outcome, or for the reason why there is none."""
    started = heard = time.monotonic()
    while True:
        try:
            if messages.poll(POLL_S):
                message = messages.recv()
                if isinstance(message, Outcome):
                    return message
                reporter.detail(message)
                heard = time.monotonic()
        except (EOFError, OSError):
            process.join(GONE_S)
            return Outcome(Status.FAILED, None, _death(process.exitcode), again=True)
        now = time.monotonic()
        if limits.time_s is not None and now - started > limits.time_s:
            return Outcome(Status.TIMEOUT, None, f"took more than {limits.time_s:g} s", again=True)
        if now - heard > limits.stall_s:
            return Outcome(Status.TIMEOUT, None, f"no progress for {limits.stall_s:g} s", again=True)


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": killed, as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the process died of {name}{hint}"


def _told(outcome: Outcome, attempts: int, log: Path) -> Outcome:
    """Add to the message how often it was tried, and where more is written."""
    printed = log.exists() and log.stat().st_size > 0
    if not printed:
        log.unlink(missing_ok=True)  # of a process that died before it could
    if outcome.values is not None or not outcome.message:
        return outcome
    words = [outcome.message] + [f"{attempts} attempts"] * (attempts > 1) + [f"see {log.name}"] * printed
    return Outcome(outcome.status, None, "; ".join(words), outcome.summary, outcome.again)


class _Messenger:
    """Tells the progress of a cell to the process that asked for it."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last = connection, 0.0

    def detail(self, text: str) -> None:
        if time.monotonic() - self._last > TELL_S:
            self._last = time.monotonic()
            self._connection.send(text)


def _serve(connection: Connection, errands: tuple[Errand, ...], surroundings: Surroundings) -> None:
    """Answer cells in this process, and tell each answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked ends this one
    os.environ.clear()  # the server's are as old as it is
    os.environ.update(surroundings.environment)
    _prepare(surroundings)
    for errand in errands:
        with _printing_to(errand.log):
            outcome = attempt(errand.measure, _Messenger(connection), traced=True)
        connection.send(outcome)
    connection.close()
    os._exit(0)  # taking the interpreter down, and CUDA with it, would take longer


def _prepare(surroundings: Surroundings) -> None:
    if "torch" in sys.modules:  # whatever measures with torch has imported it by now
        import torch

        from bench.records.kernels import pin_kernels

        pin_kernels()
        if surroundings.threads:
            torch.set_num_threads(surroundings.threads)
    if surroundings.memory_bytes is not None and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (surroundings.memory_bytes, surroundings.memory_bytes))


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Send what this process prints, and what libraries print beside Python, to a file; an empty one is deleted."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        yield
        for python_stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                python_stream.flush()
    if not log.stat().st_size:
        log.unlink()
