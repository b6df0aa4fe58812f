"""Output on terminals that lack characters of ours."""

import io
import sys


def write_what_the_terminal_has() -> None:
    """Let stdout and stderr replace characters that their encoding lacks, ASCII's or Latin-1's, by question marks.

    Without it a table or a file's name ends a command in a UnicodeEncodeError, after all the work.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
