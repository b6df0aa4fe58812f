"""``python -m bench.memory prove``: the simulator beside what others measured on real GPUs."""

import csv
import hashlib
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, results_option
from bench.environment import provenance
from bench.memory.calibration import Rules
from bench.memory.perceptron import Perceptron
from bench.memory.processes import in_processes
from bench.memory.published import PublishedHistory, ReplayError, replay_published
from bench.memory.replay import replay
from bench.memory.trace import trace_batch
from bench.progress import Reporter
from bench.record import Measurement, ProofSpec, Status
from bench.runner import Cell, Outcome, all_answered, run_cells
from bench.sizes import MIB
from bench.store import ResultStore
from bench.values import HistoryRow, ProofValues

FITTED_RUNS = 100
CHUNK = 25
BARE = Rules(context_bytes=0, bound="low")
"""Context, kernels and cuBLAS's workspaces are in the constant that is fitted."""
NAME, PEAK = "Filename", "Max GPU Memory (MiB)"

Peaks = tuple[int, int]
"""Reserved and requested bytes of one run."""

HELP = f"""Compare the simulator with histories and peaks that others published of real GPUs.

FOLDER holds histories/*.json.gz, allocators' decisions, which have to be made again address by address, and
measured/*.csv, peaks of training runs. One constant per file, for what a process takes beside its allocator, is fitted
to the first {FITTED_RUNS} runs; the others are predicted.

\b
Example:
  python -m bench.memory prove GPU --format json

{EXIT_CODES}
"""


@click.command("prove", help=HELP)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--force", is_flag=True, help="Compare again what is already stored for this machine.")
@results_option
def prove(folder: Path, style: Literal["table", "json"], force: bool, results: Path) -> int:
    """Compare from the command line."""
    cells, names = proof_cells(folder)
    records = run_cells(cells, ResultStore(results), force=force)
    if style == "json":
        click.echo(json.dumps(_json(records, names), indent=1))
    else:
        Console().print(_table(records))
    replayed = all(row.replayed for record in records for row in _values(record).histories)
    return 0 if all_answered(records) and replayed else EXIT_FAILED_CELLS


def proof_cells(folder: Path) -> tuple[list[Cell], dict[str, tuple[str, ...]]]:
    """Return a cell for all histories and one for every file of runs, and the runs' names by file.

    Raises:
        click.ClickException: if the folder has neither.
    """
    where = provenance(None)
    cells, names = list[Cell](), dict[str, tuple[str, ...]]()
    histories = tuple(sorted((folder / "histories").glob("*.json.gz")))
    if histories:
        spec = ProofSpec(source="histories", file="histories", content=_digest(histories))
        cells.append(Cell(spec, where, lambda reporter: _replayed(histories, reporter), f"{len(histories)} files"))
    for path in sorted((folder / "measured").glob("*.csv")):
        runs = _runs(path)
        if runs is None:
            click.echo(f"{path}: skipped, no column {NAME!r} or {PEAK!r}", err=True)
            continue
        names[path.name] = tuple(name for name, _ in runs)
        spec = ProofSpec(source="perceptrons", file=path.name, content=_digest([path]))
        cells.append(Cell(spec, where, lambda reporter, runs=runs: _predicted(runs, reporter), f"{len(runs)} runs"))  # type: ignore[misc]
    if not cells:
        raise click.ClickException(f"{folder}: no histories/*.json.gz and no measured/*.csv that can be compared")
    return cells, names


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _runs(path: Path) -> list[tuple[str, int]] | None:
    """Return (name, measured bytes) of every run of a file, None where it is of another kind."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {NAME, PEAK} <= set(reader.fieldnames or ()):
            return None
        try:
            return [(row[NAME], int(float(row[PEAK]) * MIB)) for row in reader]
        except ValueError as error:
            raise click.ClickException(f"{path}: {error}") from error


def _replayed(paths: Sequence[Path], reporter: Reporter) -> Outcome:
    rows = []
    for number, path in enumerate(paths, start=1):
        history = PublishedHistory.load(path)
        try:
            replay_published(history)
            same = True
        except (ReplayError, KeyError, AssertionError):
            same = False
        rows.append(
            HistoryRow(file=path.name, events=len(history.events), reserved_bytes=history.reserved_bytes, replayed=same)
        )
        reporter.detail(f"{number}/{len(paths)} histories")
    same_count = sum(row.replayed for row in rows)
    values = ProofValues(histories=tuple(rows))
    return Outcome(Status.OK, values, summary=f"{same_count} of {len(rows)} histories replay to the byte")


def _predicted(runs: Sequence[tuple[str, int]], reporter: Reporter) -> Outcome:
    measured = [size for _, size in runs]
    chunks = [tuple(name for name, _ in runs[first : first + CHUNK]) for first in range(0, len(runs), CHUNK)]
    told = in_processes(peaks_of, chunks, lambda done: reporter.detail(f"{done * CHUNK}/{len(runs)} runs"))
    peaks = [pair for chunk in chunks for pair in (told.get(chunk) or peaks_of(chunk))]
    reserved, requested = zip(*peaks, strict=True)
    constant, alone = (
        int(statistics.median(total - part for total, part in zip(measured[:FITTED_RUNS], parts, strict=False)))
        for parts in (reserved, [0] * len(runs))
    )
    values = ProofValues(
        constant_bytes=constant,
        constant_alone_bytes=alone,
        fitted_runs=min(FITTED_RUNS, len(runs)),
        measured_bytes=tuple(measured),
        reserved_bytes=reserved,
        requested_bytes=requested,
    )
    median, high = errors_bytes(values)
    return Outcome(Status.OK, values, summary=f"median error {median / MIB:.1f} MiB, 99 % within {high / MIB:.0f} MiB")


def peaks_of(names: Sequence[str]) -> list[Peaks]:
    """Simulate training runs.

    Args:
        names: of perceptrons.

    Raises:
        ValueError: if one is no perceptron's.
    """
    found = []
    for name in names:
        perceptron = Perceptron.named(name)
        figures = replay(trace_batch(perceptron.make_step, perceptron.batch), perceptron.batch, BARE)
        found.append((figures.peak_reserved, figures.peak_requested))
    return found


def errors_bytes(values: ProofValues) -> tuple[float, float]:
    """Return the median and the 99th percentile of the absolute error over the runs that nothing was fitted to."""
    assert values.constant_bytes is not None
    first = values.fitted_runs if len(values.measured_bytes) > values.fitted_runs else 0
    predicted = np.array(values.reserved_bytes[first:]) + values.constant_bytes
    errors = np.abs(predicted - np.array(values.measured_bytes[first:]))
    return float(np.median(errors)), float(np.quantile(errors, 0.99))


def _values(record: Measurement) -> ProofValues:
    return record.values if isinstance(record.values, ProofValues) else ProofValues()


def _json(records: Sequence[Measurement], names: dict[str, tuple[str, ...]]) -> dict[str, object]:
    runs = []
    for record in records:
        values, file = _values(record), record.spec.subject[1]
        for name, reserved, measured in zip(
            names.get(file, ()), values.reserved_bytes, values.measured_bytes, strict=True
        ):
            predicted = reserved + (values.constant_bytes or 0)
            runs.append({"file": file, "name": name, "predicted_bytes": predicted, "measured_bytes": measured})
    histories = [row for record in records for row in _values(record).histories]
    return {"histories": [{"file": row.file, "replayed": row.replayed} for row in histories], "runs": runs}


def _table(records: Sequence[Measurement]) -> Table:
    table = Table(title="The simulator beside real GPUs", caption="errors of the runs that nothing was fitted to")
    for name in ("published", "what", "constant, MiB", "median error, MiB", "99 % within, MiB"):
        table.add_column(name, justify="left" if name in ("published", "what") else "right")
    for record in records:
        values, file = _values(record), record.spec.subject[1]
        for row in values.histories:
            table.add_row(row.file, f"{row.events} events", "", "0" if row.replayed else "differs", "")
        if values.constant_bytes is not None:
            median, high = errors_bytes(values)
            figures = (values.constant_bytes / MIB, median / MIB, high / MIB)
            table.add_row(file, f"{len(values.measured_bytes)} runs", *(f"{figure:,.1f}" for figure in figures))
    return table
