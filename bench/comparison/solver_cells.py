"""Cells that compare fixed-point methods and gradient rules with other libraries'."""

import statistics
from collections.abc import Sequence
from functools import partial
from itertools import product

import torch
from rich.table import Table

from bench.comparison.solver_peers import PEERS
from bench.comparison.solver_race import SolverRace
from bench.records import Record, SolversSpec, SolversValues, Status
from bench.records.environment import installed, provenance
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter


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
    specs = [
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
        )
        for size, tolerance in product(sizes, tolerances)
    ]
    return [
        StudyCell(
            spec,
            where,
            partial(_measure, spec, device),
            f"{spec.image_shape[0]} pixels, tolerance {spec.tolerance:g}",
            apart=True,
        )
        for spec in specs
    ]


def _measure(spec: SolversSpec, device: torch.device, reporter: CellReporter) -> Outcome:
    values = SolverRace(spec, device, reporter.detail).run()
    return Outcome(Status.OK, values, summary=_summary(values))


def _summary(values: SolversValues) -> str:
    steps = {row.rule: statistics.median(row.step_s) for row in values.rules}
    return f"recompute takes {steps['recompute'] / steps['one-graph']:.3f} times the one-graph step"


def solver_tables(records: Sequence[Record]) -> list[Table]:
    """Lay out every answer: the methods, then the gradient rules."""
    answered = [(record, record.values) for record in records if isinstance(record.values, SolversValues)]
    return [table for record, values in answered for table in (_methods_table(record, values), _rules_table(values))]


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
