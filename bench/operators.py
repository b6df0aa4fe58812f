"""``python -m bench.operators``: times of the operators, ours beside those of other libraries."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, Name, common_options, run
from bench.cli.parameters import REPEATS, SIDE
from bench.comparison.operator_cases import FULL_SHAPES, PAPER, SCANS, build
from bench.comparison.operator_peers import DISTRIBUTIONS, is_installed
from bench.comparison.operator_race import DIRECTIONS, MAX_CALL_S, OperatorRace
from bench.records import OperatorsSpec, OperatorsValues, Provenance, Record, Status
from bench.records.environment import installed, pick_device, provenance
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell, all_answered, run_cells
from bench.records.store import ResultStore

BATCHES = (1, 8)
SYMBOLS = {"forward": "A", "adjoint": "A^T"}

HELP = f"""Time the operators in both directions at batch 1 and 8, ours beside those of other libraries.

Compared are the installed libraries: scikit-image and SciPy always, ASTRA and deepinv with pip install .[astra,peers].
All run in one process with interleaved calls, so drift of the machine affects all equally. A slow library gets fewer
repeats, and none at batch 8 if a call would take longer than {MAX_CALL_S:g} seconds.

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


@click.command(help=HELP)
@click.option(
    "--operator",
    "operators",
    type=Name("operator", lambda: FULL_SHAPES),
    multiple=True,
    help="radon, blur or fourier; repeatable. Default: all.",
)
@click.option(
    "--scan",
    "scans",
    type=Name("scan", lambda: SCANS),
    multiple=True,
    help="Of the Radon transform: kpi, lodopab or 1000; repeatable. Default: all.",
)
@click.option("--size", type=SIDE, help="Side of square images, in pixels. Default: the paper's.")
@click.option("--repeats", type=REPEATS, default=9, show_default=True, help="Repeats per library.")
@common_options
def main(
    operators: Sequence[str],
    scans: Sequence[str],
    size: int | None,
    repeats: int,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Time the operators from the command line."""
    missing = [library for library in DISTRIBUTIONS if not is_installed(library)]
    place = pick_device(device)
    if missing:
        click.echo(
            f"not installed, so not compared: {', '.join(missing)}; pip install .[astra,peers] adds them", err=True
        )
    cells = operator_cells(operators, scans, device=place, size=size, repeats=repeats)
    records = run_cells(cells, ResultStore(results), force=force)
    for record in records:
        if isinstance(record.values, OperatorsValues):
            Console().print(_table(record, record.values))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def operator_cells(
    operators: Sequence[str] = (),
    scans: Sequence[str] = (),
    *,
    device: torch.device,
    size: int | None = None,
    repeats: int = 9,
) -> list[StudyCell]:
    """Return one cell per operator, and per scan of the Radon transform.

    Args:
        operators: keys of ``FULL_SHAPES``; none means all.
        scans: keys of ``SCANS``; none means all.
        device: where to run.
        size: side of square images, in pixels; None means the paper's sizes.
        repeats: repeats per library.
    """
    where = provenance(device)
    cells = []
    for operator in operators or FULL_SHAPES:
        for scan in (scans or SCANS) if operator == "radon" else (PAPER,):
            shape = (size, size) if size else FULL_SHAPES[operator]
            spec = OperatorsSpec(
                operator=operator,
                scan=scan,
                image_shape=shape,
                data_shape=build(operator, scan, shape).data_shape,
                batches=BATCHES,
                repeats=repeats,
                peers=installed(DISTRIBUTIONS.values()),
            )
            cells.append(_cell(spec, where, device))
    return cells


def _cell(spec: OperatorsSpec, where: Provenance, device: torch.device) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        values = OperatorRace(spec, device, reporter.detail).run()
        return Outcome(Status.OK, values, summary=_summary(values))

    height, width = spec.image_shape
    return StudyCell(spec, where, measure, f"{height}x{width} pixels")


def _summary(values: OperatorsValues) -> str:
    image_ms = [f"{_image_ms(values, 0, direction, max(BATCHES)):.3g}" for direction in DIRECTIONS]
    return f"{' and '.join(image_ms)} ms per image at batch {max(BATCHES)}"


def _image_ms(values: OperatorsValues, place: int, direction: str, batch: int) -> float | None:
    """Return the median of the library at this place of the list; None where it was not called."""
    row = values.libraries[place]
    for found in values.applications:
        if (found.library, found.method, found.direction, found.batch) == (row.library, row.method, direction, batch):
            return 1e3 * median(found.call_s) / batch
    return None


def _table(record: Record, values: OperatorsValues) -> Table:
    spec = record.spec
    assert isinstance(spec, OperatorsSpec)
    table = Table(title=f"{' '.join(spec.subject)}, {'x'.join(map(str, spec.image_shape))}: ms per image")
    table.add_column("library", no_wrap=True)
    names = [f"{SYMBOLS[direction]}, {batch}" for direction in DIRECTIONS for batch in spec.batches]
    for name in (*names, "stored MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, row in enumerate(values.libraries):
        times = [_image_ms(values, place, direction, batch) for direction in DIRECTIONS for batch in spec.batches]
        table.add_row(
            f"{row.library} {row.method}",
            *("-" if time is None else f"{time:.3g}" for time in times),
            f"{row.stored_bytes / 1e6:.1f}",
        )
    return table


if __name__ == "__main__":
    run(main)
