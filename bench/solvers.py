"""``python -m bench.solvers``: fixed-point methods and gradient rules, ours beside those of other libraries."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, common_options, run
from bench.cli.parameters import BATCH, REPEATS, SIDE, TOLERANCE
from bench.comparison.solver_peers import PEERS
from bench.comparison.solver_race import Race
from bench.records import Provenance, Record, SolversSpec, SolversValues, Status
from bench.records.environment import installed, pick_device, provenance
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell, all_answered, run_cells
from bench.records.store import ResultStore

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
@common_options
def main(
    sizes: Sequence[int],
    tolerances: Sequence[float],
    batch: int,
    max_steps: int,
    history: int,
    repeats: int,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the race from the command line."""
    missing = [name for name in PEERS if not any(peer.startswith(name) for peer in installed(PEERS))]
    if missing:
        click.echo(f"not installed, so not compared: {', '.join(missing)}; pip install .[peers] adds them", err=True)
    cells = solver_cells(
        sizes,
        tolerances,
        device=pick_device(device),
        batch=batch,
        max_steps=max_steps,
        history=history,
        repeats=repeats,
    )
    records = run_cells(cells, ResultStore(results), force=force)
    for record in records:
        if isinstance(record.values, SolversValues):
            Console().print(_methods_table(record, record.values), _rules_table(record.values))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def solver_cells(
    sizes: Sequence[int],
    tolerances: Sequence[float],
    *,
    device: torch.device,
    batch: int = 8,
    max_steps: int = 50,
    history: int = 6,
    repeats: int = 5,
) -> list[StudyCell]:
    """Return one cell per size and tolerance.

    Args:
        sizes: sides of the square images, in pixels.
        tolerances: relative residuals at which a solve ends.
        device: where to run.
        batch: images per solve.
        max_steps: most map evaluations.
        history: iterates that Anderson's method keeps, in every library.
        repeats: timed repeats.
    """
    where = provenance(device)
    return [
        _cell(
            SolversSpec(
                task="deblur",
                model="luser-sw",
                image_shape=(size, size),
                batch=batch,
                tolerance=tolerance,
                max_steps=max_steps,
                history=history,
                repeats=repeats,
                peers=installed(PEERS),
            ),
            where,
            device,
        )
        for size in sizes
        for tolerance in tolerances
    ]


def _cell(spec: SolversSpec, where: Provenance, device: torch.device) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        values = Race(spec, device, reporter.detail).run()
        return Outcome(Status.OK, values, summary=_summary(values))

    return StudyCell(spec, where, measure, f"{spec.image_shape[0]} pixels, tolerance {spec.tolerance:g}")


def _summary(values: SolversValues) -> str:
    steps = {row.rule: statistics.median(row.step_s) for row in values.rules}
    return f"recompute takes {steps['recompute'] / steps['one-graph']:.3f} times the one-graph step"


def _methods_table(record: Record, values: SolversValues) -> Table:
    spec = record.spec
    assert isinstance(spec, SolversSpec)
    size = f"{spec.image_shape[0]}x{spec.image_shape[1]}"
    table = Table(title=f"{size}, batch {spec.batch}, tolerance {spec.tolerance:g}: one solve")
    for name in ("library", "method", "evaluations", "residual", "ms", "ms outside", "peak MiB", "gradient error"):
        table.add_column(name, justify="left" if name in ("library", "method") else "right")
    for row in values.methods:
        milliseconds = [f"{1e3 * statistics.median(seconds):.4g}" for seconds in (row.solve_s, row.overhead_s)]
        table.add_row(
            row.library,
            row.method,
            str(row.evaluations),
            f"{row.residual:.1e}",
            *milliseconds,
            f"{row.peak_bytes / 2**20:.1f}",
            f"{row.gradient_error:.1e}",
        )
    return table


def _rules_table(values: SolversValues) -> Table:
    table = Table(title=f"LUSER-SW training step, batch {values.step_batch}")
    for name in ("rule", "s", "kept MiB", "peak MiB", "gradient error"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for row in values.rules:
        table.add_row(
            row.rule,
            f"{statistics.median(row.step_s):.4g}",
            f"{row.kept_bytes / 2**20:.1f}",
            f"{row.peak_bytes / 2**20:.1f}",
            f"{row.gradient_error:.1e}",
        )
    return table


if __name__ == "__main__":
    run(main)
