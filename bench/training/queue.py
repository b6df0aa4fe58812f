"""The cells of Table 2, most important first, shared between commands and resumable at any step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.table import Table

from bench.data.base import Split
from bench.records import AccuracySpec, AccuracyValues, Loss, Record, Start, mean_psnr_db
from bench.records.store import ResultStore
from bench.runner.cell import StudyCell
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks import TASKS
from bench.training.cells import accuracy_cells, checkpoint_of, discard_checkpoints
from bench.training.checkpoint import read_checkpoint
from bench.training.sweep import TrainingSetup, denoiser_checkpoint

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FIRST_PAIR = ("lu-dncnn", "luser-dw")
"""The models of the paper's main claim: their second seeds come first."""


def queued_cells(training: TrainingSetup, tasks: Sequence[str], models: Sequence[str]) -> list[StudyCell]:
    """Return the cells of Table 2 in the queue's order.

    Args:
        training: what all of them share.
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
    """

    def cells(models: Sequence[str], loss: Loss, seed: int) -> list[StudyCell]:
        return accuracy_cells(training, tasks, models, [loss], seeds=[seed])

    others = [
        cell
        for start in get_args(Start)
        if start != training.start
        for cell in accuracy_cells(
            replace(training, start=start), [task for task in tasks if len(TASKS[task].starts) > 1], models, ["final"]
        )
    ]
    pair, rest = ([name for name in models if (name in FIRST_PAIR) is wanted] for wanted in (True, False))
    return [
        *cells(models, "final", 0),
        *others,
        *cells(models, "aux", 0),
        *cells(pair, "final", 1),
        *cells(rest, "final", 1),
    ]


def work_off(
    cells: Sequence[StudyCell], store: ResultStore, limit: int | None = None, running: Running | None = None
) -> list[Record]:
    """Train every cell that is neither finished nor held by another process.

    Args:
        cells: in order.
        store: where records and checkpoints are.
        limit: cells to train before stopping; None for all.
        running: how they are run.
    """
    records = list[Record]()
    for cell in cells:
        if len(records) == limit:
            break
        with _claimed(checkpoint_of(cell.spec, cell.provenance, store).with_suffix(".lock")) as ours:
            if ours and finished(cell, store) is None:
                records += run_cells([cell], store, running)
            if ours:  # a command that was killed may have left those of a finished cell
                discard_checkpoints([cell], store)
    return records


def finished(cell: StudyCell, store: ResultStore) -> Record | None:
    """Return the finished record of a cell from any machine, if there is one: a queue may move between machines."""
    return store.finished(cell.spec, cell.provenance, anywhere=True)


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Hold a lock file, which the system releases when the process ends; False if another process holds it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def queue_table(cells: Sequence[StudyCell], store: ResultStore) -> Table:
    """Lay out the progress of every cell, in the queue's order."""
    table = Table(title="The queue")
    for name in ("", "task", "start", "model", "loss", "seed", "steps", "progress"):
        table.add_column(name, justify="right" if name in ("", "seed", "steps") else "left")
    for number, cell in enumerate(cells, start=1):
        spec = cell.spec
        assert isinstance(spec, AccuracySpec)
        steps = str(spec.recipe.steps)
        table.add_row(
            str(number), spec.task, spec.start, spec.model, spec.loss, str(spec.seed), steps, _progress(cell, store)
        )
    return table


def _progress(cell: StudyCell, store: ResultStore) -> str:
    record = finished(cell, store)
    if record is not None and isinstance(record.values, AccuracyValues):
        start, end = mean_psnr_db(record.values.items)
        return f"{record.status.value}: {end:.2f} dB from {start:.2f} dB"
    if record is not None:
        return record.status.value
    whole = checkpoint_of(cell.spec, cell.provenance, store)
    for part, checkpoint in (("step", whole), ("denoiser, step", denoiser_checkpoint(whole))):
        if checkpoint.exists():
            return f"{part} {read_checkpoint(checkpoint)[1].step}"
    return "waiting"
