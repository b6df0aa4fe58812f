"""``python -m bench.check``: has the benchmark become wrong, worse or slower than its stored baseline?"""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli import interrupt_says, results_option, run
from bench.cli.tables import print_table
from bench.regression.baseline import FOLDER, GATES, Gate
from bench.regression.findings import as_json, as_markdown, as_table, regressed, told
from bench.regression.gates import Setup, run_gates
from bench.regression.update import update

EXIT_REGRESSED = 1

HELP = """Compare what the benchmark computes today with its stored baseline; a CPU is enough.

\b
exact      parameter counts, operator applications, simulated batches, recipes, the layout and names of records;
           short trainings: bit by bit on a machine like the baseline's, elsewhere within measured tolerances
tolerance  PSNR of the stored weights on generated images, within measured tolerances
ratio      processor time of training steps, operators and solvers over that of plain torch, on the baseline's
           kind of machine; with --against, over that of another commit, on any machine

\b
Examples:
  python -m bench.check
  python -m bench.check --only exact --only tolerance
  python -m bench.check --only ratio --against origin/main --summary "$GITHUB_STEP_SUMMARY"
  python -m bench.check --update --only exact --changelog "LUSER has one stage more."

Exit codes: 0 no regression; 1 a regression, each on one line; 2 bad input, such as an unreadable baseline; 130
interrupted.
"""


@click.command(help=HELP)
@click.option("--only", "gates", type=click.Choice(GATES), multiple=True, help="Gate; repeatable. Default: all.")
@click.option("--against", metavar="COMMIT", help="Commit whose times are compared, in place of the baseline's.")
@click.option(
    "--baseline",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="Folder of the baseline. Default: the one in the package.",
)
@results_option
@click.option("--update", "updating", is_flag=True, help="Write a new baseline; wants a new line in CHANGELOG.md.")
@click.option("--changelog", metavar="TEXT", help="With --update: the line, added to the top section.")
@click.option(
    "--python",
    "pythons",
    type=click.Path(dir_okay=False),
    multiple=True,
    help="With --update: an interpreter with another torch, to measure tolerances with too; repeatable.",
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="File to append a Markdown table to.")
@click.option("--format", "layout", type=click.Choice(["table", "json"]), default="table", show_default=True)
@interrupt_says("nothing is stored; run again")
def main(
    gates: Sequence[Gate],
    against: str | None,
    folder: Path,
    results: Path,
    updating: bool,
    changelog: str | None,
    pythons: Sequence[str],
    summary: Path | None,
    layout: str,
) -> int:
    """Run the gates from the command line."""
    if not updating and (changelog or pythons):
        raise click.UsageError("--changelog and --python are for --update")
    setup = Setup(folder=folder, results=results, against=against, told=lambda text: click.echo(text, err=True))
    if updating:
        for path in update(gates or GATES, setup, text=changelog, pythons=pythons):
            click.echo(f"wrote {path}")
        return 0
    findings = run_gates(gates or GATES, setup)
    if layout == "json":
        click.echo(as_json(findings))
    else:
        print_table(as_table(findings))
        for line in told(findings):
            click.echo(line)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(as_markdown(findings))
    return EXIT_REGRESSED if regressed(findings) else 0


if __name__ == "__main__":
    run(main)
