"""Processes with torch already imported, forked from a server that never touches a GPU.

Importing torch takes seconds, which a probe in a fresh interpreter pays every time. The server is the standard
library's ``forkserver``: a process with one thread, which imports what is named and does nothing else.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

GONE_S = 20.0
"""In which a process that has answered is gone, and its memory with it."""


class ForkedError(RuntimeError):
    """A forked process raised an exception, or died; the message is its last line."""


class Stopped(RuntimeError):
    """The server was told to stop: what it started is killed, and it starts nothing more."""


class ForkServer:
    """Starts processes that begin with modules imported.

    There is one server per process, whatever is made of this class: the first one's modules count.

    Args:
        modules: what the server imports; importing them must not touch a GPU.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(list(modules))
        self._starting = threading.Lock()
        self._called: set[BaseProcess] = set()
        self._started: set[BaseProcess] = set()
        self.stopped = False

    def start(self, function: Callable[..., object], *arguments: object) -> BaseProcess:
        """Start a function in a process of its own, which ends when this one does.

        Args:
            function: of a module; it and the arguments travel to the process.
            arguments: its arguments.
        """
        process = self._context.Process(target=_run, args=(function, arguments))
        with self._starting:
            if self.stopped:
                raise Stopped
            process.start()
            self._started = {other for other in self._started if other.exitcode is None} | {process}
        return process

    def pipe(self) -> tuple[Connection, Connection]:
        """Return the receiving and the sending end of a pipe, which may travel to a process."""
        return self._context.Pipe(duplex=False)

    def stop(self) -> None:
        """Kill all that was started and still runs; nothing starts from now on."""
        with self._starting:
            self.stopped = True
            for process in self._started:
                process.kill()

    def call(self, function: Callable[..., object], *arguments: object, timeout_s: float) -> Any:
        """Run a function in its own process, and return its result after that process has ended.

        Args:
            function: as of ``start``; its result travels back.
            arguments: likewise.
            timeout_s: seconds after which the process is killed.

        Raises:
            TimeoutError: if it takes longer.
            ForkedError: if it raises an exception or dies.
        """
        ours, theirs = self.pipe()
        process = self.start(_send, theirs, function, arguments)
        theirs.close()
        self._called.add(process)
        try:
            if not ours.poll(max(timeout_s, 0)):
                raise TimeoutError(f"{function.__name__} took more than {timeout_s:.0f} s")
            result, error = ours.recv()
            process.join(GONE_S)
        except EOFError:
            process.join(GONE_S)
            raise ForkedError(f"{function.__name__} died with exit code {process.exitcode}") from None
        finally:
            end(process)
            self._called.discard(process)
            ours.close()
        if error is not None:
            raise ForkedError(error)
        return result

    def end_calls(self) -> None:
        """Kill all running calls; their callers get a ``ForkedError``."""
        for process in list(self._called):
            process.kill()


def end(process: BaseProcess) -> None:
    """Kill a process that still runs, and wait until it is gone."""
    if process.is_alive():
        process.kill()
    process.join(GONE_S)


def _run(function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function(*arguments)


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone: nobody would read its answer, and it holds a GPU's memory."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _send(connection: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    message: tuple[object, str | None]
    try:
        message = function(*arguments), None
    except Exception as error:
        traceback.print_exc()
        message = None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    with suppress(BrokenPipeError):
        connection.send(message)
    connection.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the driver gives back what CUDA holds; taking the interpreter down would take longer
