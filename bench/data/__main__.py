"""``python -m bench.data``: check a folder of real images, or draw its contact sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import TASK, interrupt_says, run

if TYPE_CHECKING:
    from rich.table import Table

    from bench.data.audits.check import Report, SplitSummary

EXIT_PROBLEMS = 1
COUNTED = ("files", "images", "problems")

CHECK_HELP = """Read every file of a data set and print one line per problem.

Checked: counts, shapes, number types, ranges, truncated and foreign files, HTML pages saved as data, patients in two
splits, and whether measurements belong to their images. Nothing is written.

\b
Examples:
  python -m bench.data check --data CELEBA
  python -m bench.data check --data LODOPAB --task ct --complete

Exit codes: 0 no problems; 1 problems found; 2 bad input; 130 interrupted.
"""

DESCRIBE_HELP = """Draw a contact sheet: images of every split, and a histogram of their values.

\b
Examples:
  python -m bench.data describe --data LODOPAB --task ct --output lodopab.png
  python -m bench.data describe --task mri4x --output generated.png

Exit codes: 0 drawn; 2 bad input; 130 interrupted.
"""


@click.group(help="Check a folder of real images, or draw its contact sheet.", no_args_is_help=False)
def main() -> None:
    """Hold the two commands."""


@main.command("check", help=CHECK_HELP)
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="The data set.")
@click.option("--task", type=TASK, help="Task of the data set. Default: inferred from the files.")
@click.option("--complete", is_flag=True, help="Also report fewer images or volumes than were published.")
@interrupt_says("the problems found so far are printed above")
def check_command(data: Path, task: str | None, complete: bool) -> int:
    """Examine a data set from the command line."""
    from bench.cli.tables import print_table
    from bench.data.audits.check import Report, check
    from bench.data.base import DataError
    from bench.runner.progress import Reporter

    report = Report()
    try:
        check(data, task, complete=complete, report=report, reporter=Reporter(0))
    except DataError as error:
        raise click.ClickException(str(error)) from error
    finally:  # after an interrupt, too
        for problem in report.problems:
            click.echo(problem)
    print_table(_table(report, data))
    return EXIT_PROBLEMS if report.problems else 0


def _table(report: "Report", source: Path) -> "Table":
    from rich import box
    from rich.table import Table

    from bench.data.base import source_label

    count = len(report.problems)
    found = f"{count} problem{'s' * (count != 1)}" if count else "no problems"
    table = Table(
        title=f"{source_label(source)}, {report.layout}: {found}", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    for name in ("split", "files", "images", "H x W", "type", "range", "problems"):
        table.add_column(name, justify="right" if name in COUNTED else "left", no_wrap=True)
    for split in report.splits:
        table.add_row(*_row(split))
    return table


def _row(split: "SplitSummary") -> tuple[str, ...]:
    shapes = sorted(split.shapes)
    shown = "".join(f"{height}x{width}" for height, width in shapes[:1])
    return (
        split.split,
        str(split.files),
        str(split.images),
        f"{shown}, +{len(shapes) - 1}" if len(shapes) > 1 else shown,
        ", ".join(sorted(split.stored_as)),
        f"{split.low:.2g} to {split.high:.2g}" if split.low <= split.high else "",
        str(len(split.problems)),
    )


@main.command("describe", help=DESCRIBE_HELP)
@click.option("--data", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: the generated images.")
@click.option("--task", type=TASK, required=True, help="Task whose images are drawn, at the paper's size.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE.png", help="The sheet."
)
@interrupt_says("nothing is drawn; run again")
def describe_command(data: Path | None, task: str, output: Path) -> int:
    """Draw a contact sheet from the command line."""
    from bench.data.audits.contact_sheet import draw_sheet
    from bench.data.base import DataError
    from bench.tasks import TASKS

    if output.suffix.lower() != ".png":
        raise click.ClickException(f"{output}: the contact sheet is a PNG file; name it {output.with_suffix('.png')}")
    try:
        draw_sheet(TASKS[task], data, output)
    except (DataError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"drawn: {output}", err=True)
    return 0


if __name__ == "__main__":
    run(main)
