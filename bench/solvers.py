"""``python -m bench.solvers``: fixed-point methods and gradient rules, ours beside those of other libraries."""

from collections.abc import Sequence

import click

from bench.cli import EXIT_CODES, Study, run, study_options
from bench.cli.parameters import BATCH, REPEATS, SIDE, TOLERANCE

SIZES = (64, 128)
TOLERANCES = (1e-3, 1e-4)

HELP = f"""Compare fixed-point methods on LUSER's map, and gradient rules in its training step.

Ours (anderson, broyden, picard) run beside those of the installed libraries: TorchDEQ and deepinv, with pip install
.[peers]. Map, start and tolerance on the relative residual are the same; repeats are interleaved. The gradient error is
that of a whole LUSER-SW at 32x32 pixels, relative to unrolling in float64.

\b
Examples:
  python -m bench.solvers
  python -m bench.solvers --size 64 --tolerance 1e-5 --repeats 9

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option(
    "--size",
    "sizes",
    type=SIDE,
    multiple=True,
    default=SIZES,
    show_default=True,
    help="Side of the square images, in pixels; repeatable.",
)
@click.option(
    "--tolerance",
    "tolerances",
    type=TOLERANCE,
    multiple=True,
    default=TOLERANCES,
    show_default=True,
    help="Relative residual at which a solve ends; repeatable.",
)
@click.option("--batch", type=BATCH, default=8, show_default=True, help="Images per solve.")
@click.option("--max-steps", type=click.IntRange(3, 9_999), default=50, show_default=True, help="Most map evaluations.")
@click.option(
    "--history", type=click.IntRange(2, 100), default=6, show_default=True, help="Iterates that Anderson keeps."
)
@click.option("--repeats", type=REPEATS, default=5, show_default=True, help="Timed repeats.")
@study_options
def main(
    sizes: Sequence[int],
    tolerances: Sequence[float],
    batch: int,
    max_steps: int,
    history: int,
    repeats: int,
    study: Study,
) -> int:
    """Compare the solvers from the command line."""
    from bench.comparison.solver_cells import solver_cells, solver_tables
    from bench.comparison.solver_peers import PEERS
    from bench.records.environment import installed

    place = study.place  # tells a wrong name first
    missing = [name for name in PEERS if not any(peer.startswith(name) for peer in installed(PEERS))]
    if missing:
        click.echo(f"not installed, so not compared: {', '.join(missing)}; pip install .[peers] adds them", err=True)
    cells = solver_cells(
        sizes,
        tolerances,
        device=place,
        batch=batch,
        max_steps=max_steps,
        history=history,
        repeats=repeats,
    )
    return study.answer(cells, solver_tables)


if __name__ == "__main__":
    run(main)
