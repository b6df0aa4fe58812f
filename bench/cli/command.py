"""How a command ends: exit codes, and one line for a user's mistake."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from bench.cli.terminal import write_what_the_terminal_has

EXIT_FAILED_CELLS = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 every cell has an answer; 1 a cell failed or has no finite quality (its record says why); "
    "2 bad input; 130 interrupted, finished cells are stored."
)

STORED = "finished cells are stored; run again to resume"


class Interrupted(click.Abort):
    """An interrupt, with what the user is told."""


@contextmanager
def interrupt_says(message: str) -> Iterator[None]:
    """Say something else than ``STORED`` after an interrupt; decorates a command's function, beneath its options.

    Raises:
        Interrupted: for an interrupt, with the message.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(message) from interrupt


def run(command: click.Command) -> NoReturn:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2, an interrupt in 130.

    Args:
        command: the click command of a ``__main__`` module.
    """
    write_what_the_terminal_has()
    try:
        result = command.main(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except (click.Abort, KeyboardInterrupt) as interrupt:
        told = interrupt if isinstance(interrupt, Interrupted) else STORED
        click.echo(f"interrupted: {told}", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(result if isinstance(result, int) else 0)


def _fail(message: str) -> NoReturn:
    from bench.records.words import printable

    click.echo("error: " + printable(" ".join(message.split())), err=True)
    sys.exit(EXIT_BAD_INPUT)
