"""Tables on stdout: fitted to a terminal, whole elsewhere."""

from rich.console import Console
from rich.table import Table

_WIDEST = 100_000
"""Characters: a pipe or a file has no edge, at which rich would cut or wrap."""


def print_table(table: Table) -> None:
    """Print a table: within a terminal's width, or with every cell in one line where stdout is a file or a pipe."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_WIDEST)
        for column in table.columns:
            column.no_wrap = True
        table.title_justify = "left"
    console.print(table)
