"""Cells that compare the operators' times with other libraries'."""

from collections.abc import Sequence
from functools import partial
from statistics import median

import torch
from rich.table import Table

from bench.comparison.operator_cases import FULL_SHAPES, PAPER, SCANS, build
from bench.comparison.operator_peers import DISTRIBUTIONS
from bench.comparison.operator_race import DIRECTIONS, OperatorRace
from bench.records import OperatorsSpec, OperatorsValues, Record, Status
from bench.records.environment import installed, provenance
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter

BATCHES = (1, 8)
SYMBOLS = {"forward": "A", "adjoint": "A^T"}


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
            height, width = spec.image_shape
            measure = partial(_measure, spec, device)
            cells.append(StudyCell(spec, where, measure, f"{height}x{width} pixels", apart=True))
    return cells


def _measure(spec: OperatorsSpec, device: torch.device, reporter: CellReporter) -> Outcome:
    values = OperatorRace(spec, device, reporter.detail).run()
    return Outcome(Status.OK, values, summary=_summary(values))


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


def operator_tables(records: Sequence[Record]) -> list[Table]:
    """Lay out every answer, one row per library."""
    return [_table(record, record.values) for record in records if isinstance(record.values, OperatorsValues)]


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
