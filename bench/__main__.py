"""``python -m bench``: every command in one; ``python -m bench memory`` is ``python -m bench.memory``."""

from typing import NoReturn

import click

import bench
from bench.cli import run
from bench.cli.lazy import Lazy, LazyGroup

HELP = """Measure how much memory learned image reconstruction needs, and what quality it reaches.

Every command has --help; python -m bench.COMMAND is the same command.

\b
Examples:
  python -m bench memory --cap 10GB
  python -m bench accuracy --all
  python -m bench results list

Where pip installed it, reconstruction-bench is the same command, and a shell completes it (bash, or zsh, fish):

\b
  eval "$(_RECONSTRUCTION_BENCH_COMPLETE=bash_source reconstruction-bench)"
"""

COMMANDS = {
    "all": Lazy("bench.all:main", "Measure everything and render it."),
    "memory": Lazy("bench.memory.__main__:main", "Largest batch that trains under a memory cap (Table 3)."),
    "gpu": Lazy("bench.gpu.__main__:main", "All that needs a GPU, most important first, within some minutes."),
    "accuracy": Lazy("bench.accuracy:main", "Train and grade on held-out images (Table 2, Figure 2)."),
    "queue": Lazy("bench.queue:main", "Train the cells of Table 2 one by one; resumes at any step."),
    "grade": Lazy("bench.grade:main", "Grade published weights on held-out images."),
    "references": Lazy("bench.references:main", "Methods without training: backprojection, total variation."),
    "timing": Lazy("bench.timing:main", "Seconds per training step and per reconstruction (Table 4)."),
    "calls": Lazy("bench.calls:main", "Operator applications per step and per reconstruction (Table 4)."),
    "solvers": Lazy("bench.solvers:main", "Fixed-point methods and gradient rules, beside other libraries'."),
    "operators": Lazy("bench.operators:main", "The operators' times, beside other libraries'."),
    "data": Lazy("bench.data.__main__:main", "Check a folder of real images, or draw its contact sheet."),
    "results": Lazy("bench.results:main", "List, show, check and export the stored records."),
    "check": Lazy("bench.check:main", "Has anything become wrong, worse or slower than the baseline?"),
    "report": Lazy("bench.report.__main__:main", "Render tables and figures from the stored records."),
}


def _tell_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"{bench.DISTRIBUTION} {bench.__version__}")
        context.exit()


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True, help=HELP)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(context: click.Context) -> None:
    """Print the help, unless a command is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def start() -> NoReturn:
    """Run the command; ``reconstruction-bench`` calls this."""
    run(main)


if __name__ == "__main__":
    start()
