"""One attempt at a cell in this process: whatever it raises becomes an outcome."""

import traceback

from bench.records import Status
from bench.runner.cell import Measure, Outcome
from bench.runner.progress import CellReporter

NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc", "Cannot allocate memory")
"""How a RuntimeError of torch or of the system says it."""


def attempt(measure: Measure, reporter: CellReporter, *, traced: bool = False) -> Outcome:
    """Answer a cell; an exception ends as a status with a message.

    Args:
        measure: answers it.
        reporter: told about the progress.
        traced: whether to print the traceback of a failure, where stderr is a log.
    """
    try:
        return measure(reporter)
    except NotImplementedError as error:
        return Outcome(Status.UNSUPPORTED, None, _one_line(error))
    except (Exception, SystemExit) as error:  # a user's model may raise anything
        if isinstance(error, MemoryError) or _names(error, "OutOfMemoryError") or _says_no_memory(error):
            return Outcome(Status.OUT_OF_MEMORY, None, _one_line(error))
        if traced:
            traceback.print_exception(error)
        return Outcome(Status.FAILED, None, f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _names(error: BaseException, name: str) -> bool:
    return any(base.__name__ == name for base in type(error).__mro__)


def _says_no_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in NO_MEMORY)
