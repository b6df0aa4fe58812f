"""``python -m bench.memory prove``: the simulator against published measurements of real GPUs."""

import hashlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import click
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, results_option
from bench.cli.tables import print_table
from bench.memory.calibration import Rules
from bench.memory.convolutions import of_version_8
from bench.memory.proof.peer_estimators import ESTIMATORS, predicted_bytes
from bench.memory.proof.published import PublishedHistory, replay_published
from bench.memory.proof.published_runs import PublishedTraining, Runs, read_runs
from bench.memory.recorded import ReplayError
from bench.memory.replay import replay
from bench.memory.trace import trace_batch
from bench.records import MIB, HistoryRow, PeerFigures, ProofSpec, ProofValues, Record, Status
from bench.records.environment import installed, provenance
from bench.records.store import ResultStore
from bench.report.selection.predictions import predictions
from bench.runner.cell import Outcome, StudyCell, all_answered
from bench.runner.pool import in_processes
from bench.runner.progress import CellReporter
from bench.runner.run import run_cells
from bench.runner.running import Running

FITTED_RUNS = 100
CHUNK = 25
BARE = Rules(context_bytes=0, bound="expected", handle_bytes=0)
"""Context, kernels and cuBLAS's workspaces are in the constant."""

Peaks = tuple[int, int]
"""Reserved and requested bytes of one run."""
_Found = TypeVar("_Found")

HELP = f"""Compare the simulator with published histories and peaks of real GPUs.

FOLDER holds histories/*.json.gz (allocators' decisions, replayed address by address) and measured/*.csv (peaks of
training runs). The memory of a process beside its allocator is one constant per file: for perceptrons, fitted to the
first {FITTED_RUNS} runs, and the others are predicted; for classifiers, taken from other runs. Compared with the
simulator, each with its own constant: fake tensors without an allocator, a constant alone, and torch-kitsune and
vram-check if installed (the extra memory-peers).

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
    records = run_cells(cells, ResultStore(results), Running(force=force))
    if style == "json":
        click.echo(json.dumps(_json(records, names), indent=1))
    else:
        print_table(_table(records))
    replayed = all(row.replayed for record in records for row in _values(record).histories)
    return 0 if all_answered(records) and replayed else EXIT_FAILED_CELLS


def proof_cells(folder: Path) -> tuple[list[StudyCell], dict[str, tuple[str, ...]]]:
    """Return a cell for all histories and one for every file of runs, and the runs' names by file.

    Raises:
        click.ClickException: if the folder has neither.
    """
    where = provenance(None)
    cells, names = list[StudyCell](), dict[str, tuple[str, ...]]()
    histories = tuple(sorted((folder / "histories").glob("*.json.gz")))
    if histories:
        spec = ProofSpec(source="histories", file="histories", content=_digest(histories))
        cells.append(StudyCell(spec, where, lambda reporter: _replayed(histories, reporter), f"{len(histories)} files"))
    for path in sorted((folder / "measured").glob("*.csv")):
        runs = read_runs(path)
        if runs is None:
            click.echo(f"{path}: skipped, unknown columns", err=True)
            continue
        names[path.name] = runs.names
        spec = ProofSpec(source=runs.source, file=path.name, content=_digest([path]))
        cells.append(StudyCell(spec, where, partial(_predicted, runs), f"{len(runs.names)} runs", _lacks))
    if not cells:
        raise click.ClickException(f"{folder}: no histories/*.json.gz and no measured/*.csv with known columns")
    return cells, names


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _replayed(paths: Sequence[Path], reporter: CellReporter) -> Outcome:
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


def _predicted(runs: Runs, reporter: CellReporter) -> Outcome:
    try:
        reserved, requested = zip(*_of_all(peaks_of, runs.trainings, reporter), strict=True)
    except ImportError as error:
        return Outcome(Status.UNSUPPORTED, None, message=f"{error}: pip install .[classifiers]")
    known = runs.constant_bytes
    values = ProofValues(
        constant_bytes=fitted_bytes(runs, reserved),
        constant_alone_bytes=fitted_bytes(runs, [0] * len(reserved)),
        fitted_runs=min(FITTED_RUNS, len(reserved)) if known is None else 0,
        measured_bytes=runs.measured_bytes,
        reserved_bytes=reserved,
        requested_bytes=requested,
        peers=_peers(runs, reporter),
        names=() if known is None else tuple(_title(*run) for run in zip(runs.names, runs.trainings, strict=True)),
    )
    return Outcome(Status.OK, values, summary=predictions(values)[0].text)


def _title(name: str, training: PublishedTraining) -> str:
    return f"{name}, batch {training.batch}"


def _peers(runs: Runs, reporter: CellReporter) -> tuple[PeerFigures, ...]:
    """Ask every installed estimator for the same runs."""
    peers = [peer.rsplit(" ", 1) for peer in installed(ESTIMATORS)]
    if not peers:
        return ()
    asked = tuple(name for name, _ in peers)
    columns = zip(*_of_all(partial(predicted_bytes, estimators=asked), runs.trainings, reporter), strict=True)
    return tuple(
        PeerFigures(name=name, version=version, constant_bytes=fitted_bytes(runs, column), predicted_bytes=column)
        for (name, version), column in zip(peers, columns, strict=True)
    )


def _of_all(
    work: Callable[[Sequence[PublishedTraining]], list[_Found]],
    trainings: Sequence[PublishedTraining],
    reporter: CellReporter,
) -> Iterator[_Found]:
    """Yield ``work``'s result for every run, in order; one process per core does a chunk at a time."""
    chunks = [tuple(trainings[first : first + CHUNK]) for first in range(0, len(trainings), CHUNK)]
    told = in_processes(work, chunks, lambda _, done: reporter.detail(f"{done * CHUNK}/{len(trainings)} runs"))
    for chunk in chunks:
        yield from told.get(chunk) or work(chunk)


def fitted_bytes(runs: Runs, predicted: Sequence[int]) -> int:
    """Return a process's memory besides a prediction: the median over the first runs, unless it is known.

    Args:
        runs: what was measured.
        predicted: bytes of every run, without a constant.
    """
    if runs.constant_bytes is not None:
        return runs.constant_bytes
    pairs = zip(runs.measured_bytes[:FITTED_RUNS], predicted, strict=False)
    return int(statistics.median(total - part for total, part in pairs))


def _lacks(stored: Record) -> str:
    """Name the installed estimators that a stored record does not have."""
    known = {f"{peer.name} {peer.version}" for peer in _values(stored).peers}
    missing = [peer for peer in installed(ESTIMATORS) if peer not in known]
    return f"without {' and '.join(missing)}: run again with --force" if missing else ""


def peaks_of(trainings: Sequence[PublishedTraining]) -> list[Peaks]:
    """Simulate training runs, under PyTorch's default flags and the cuDNN of their time.

    Raises:
        ImportError: if a network's library is not installed.
        ValueError: if it has no such network.
    """
    found = []
    for training in trainings:
        trace = trace_batch(training.make_step, training.batch, workspaces=of_version_8)
        figures = replay(trace, training.batch, BARE)
        found.append((figures.peak_reserved, figures.peak_requested))
    return found


def _values(record: Record) -> ProofValues:
    return record.values if isinstance(record.values, ProofValues) else ProofValues()


def _json(records: Sequence[Record], names: dict[str, tuple[str, ...]]) -> dict[str, object]:
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


def _table(records: Sequence[Record]) -> Table:
    table = Table(title="The simulator against real GPUs", caption="errors over the runs not used for fitting")
    for name in ("published", "what", "constant, MiB", "median error, MiB", "99 % within, MiB"):
        table.add_column(name, justify="left" if name in ("published", "what") else "right")
    for record in records:
        values, file = _values(record), record.spec.subject[1]
        for row in values.histories:
            table.add_row(row.file, f"{row.events} events", "", "0" if row.replayed else "differs", "")
        for prediction in predictions(values) if values.measured_bytes else ():
            figures = (prediction.constant_bytes, prediction.median_bytes, prediction.high_bytes)
            what = f"{len(values.measured_bytes)} runs, {prediction.title}"
            table.add_row(file, what, *(f"{figure / MIB:,.1f}" for figure in figures))
    return table
