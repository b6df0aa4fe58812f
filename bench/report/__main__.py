"""``python -m bench.report``: render what is stored."""

from pathlib import Path

import click

from bench.cli import output_option, results_option, run

HELP = """Render the stored records as the paper's Tables 2-4 and Figure 2, with the paper's values beside ours.

Tables are written as LaTeX, PNG and CSV; README.md in the output folder shows them all with their origins. Nothing is
measured. The same records give the same bytes.

\b
Examples:
  python -m bench.report
  python -m bench.report --results results --output reports

Broken records, images and credits are named on stderr and left out.

Exit codes: 0 rendered; 2 no records, or a folder that cannot be written.
"""


@click.command(help=HELP)
@results_option
@output_option
def main(results: Path, output: Path) -> None:
    """Render from the command line."""
    from bench.report.render import render

    written = render(results, output)
    click.echo(f"{len(written)} files in {output}; start at {output / 'README.md'}")


if __name__ == "__main__":
    run(main)
