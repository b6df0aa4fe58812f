"""``python -m bench.operators``: times of the operators, ours beside those of other libraries."""

from collections.abc import Iterable, Sequence

import click

from bench.cli import EXIT_CODES, Name, Study, run, study_options
from bench.cli.parameters import REPEATS, SIDE

HELP = f"""Time the operators in both directions at batch 1 and 8, ours beside those of other libraries.

Compared are the installed libraries: scikit-image and SciPy always, ASTRA and deepinv with pip install .[astra,peers].
All run in one process with interleaved calls, so drift of the machine affects all equally. A slow library gets fewer
repeats, and none at batch 8 if a call would take longer than 6.5 seconds.

\b
Scans of the Radon transform at 362x362 pixels, 513 detectors (fewer angles and detectors at smaller sizes):
  kpi      200 angles k pi / 200
  lodopab  200 angles (k + 0.1) pi / 200, every fifth of LoDoPaB-CT's
  1000     1000 angles k pi / 1000

\b
Examples:
  python -m bench.operators
  python -m bench.operators --operator radon --scan kpi --repeats 21
  python -m bench.operators --size 128

{EXIT_CODES}
"""


def _operator_names() -> Iterable[str]:
    from bench.comparison.operator_cases import FULL_SHAPES

    return FULL_SHAPES


def _scan_names() -> Iterable[str]:
    from bench.comparison.operator_cases import SCANS

    return SCANS


@click.command(help=HELP)
@click.option(
    "--operator",
    "operators",
    type=Name("operator", _operator_names),
    multiple=True,
    help="radon, blur or fourier; repeatable. Default: all.",
)
@click.option(
    "--scan",
    "scans",
    type=Name("scan", _scan_names),
    multiple=True,
    help="Of the Radon transform: kpi, lodopab or 1000; repeatable. Default: all.",
)
@click.option("--size", type=SIDE, help="Side of square images, in pixels. Default: the paper's.")
@click.option("--repeats", type=REPEATS, default=9, show_default=True, help="Repeats per library.")
@study_options
def main(
    operators: Sequence[str],
    scans: Sequence[str],
    size: int | None,
    repeats: int,
    study: Study,
) -> int:
    """Time the operators from the command line."""
    from bench.comparison.operator_cells import operator_cells, operator_tables
    from bench.comparison.operator_peers import DISTRIBUTIONS, is_installed

    place = study.place  # tells a wrong name first
    missing = [library for library in DISTRIBUTIONS if not is_installed(library)]
    if missing:
        click.echo(
            f"not installed, so not compared: {', '.join(missing)}; pip install .[astra,peers] adds them", err=True
        )
    cells = operator_cells(operators, scans, device=place, size=size, repeats=repeats)
    return study.answer(cells, operator_tables)


if __name__ == "__main__":
    run(main)
