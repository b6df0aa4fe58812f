"""``python -m bench.queue``: train the cells of Table 2 one by one, most important first; resumes at any step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, results_option, run, scale_option, selection_options
from bench.cli.parameters import CELLS
from bench.cli.sources import by_task, check_examples, check_sources, data_options, data_sources
from bench.data import Split
from bench.records import AccuracySpec, AccuracyValues, Loss, Record, Start, mean_psnr_db
from bench.records.environment import keep_freed_memory, pick_device
from bench.records.runner import StudyCell, all_answered, run_cells
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import SCALES, precision_of
from bench.training.cells import accuracy_cells, checkpoint_of, discard_checkpoints
from bench.training.checkpoint import read_checkpoint
from bench.training.processes import make_fabric
from bench.training.sweep import TrainingSetup, denoiser_checkpoint
from models import MODELS

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FIRST_PAIR = ("lu-dncnn", "luser-dw")
"""The models of the paper's main claim: their second seeds come first."""

HELP = f"""Train the cells of Table 2 one after another, and keep their weights.

Order: final loss with the first seed, task by task; the same for CT from the other starting image; auxiliary loss; the
second seed of the final loss, LU-DnCNN and LUSER-DW first. Cells finished on any machine are skipped. The command may
be stopped or killed at any time; given again, it resumes at its last checkpoint. Several commands may share a queue,
one per core or GPU: each takes the first cell that no other command holds. A finished cell leaves its record, weights
and example in the results folder.

\b
Examples:
  python -m bench.queue --scale full --data-root DATA
  python -m bench.queue --scale full --data-root DATA --list
  python -m bench.queue --scale full --task ct --data ct=LODOPAB --cells 1

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@scale_option
@data_options
@results_option
@click.option("--example", "examples", metavar="[TASK=]PATTERN", multiple=True, help="As of bench.accuracy.")
@click.option(
    "--start",
    type=click.Choice(get_args(Start)),
    default="fbp",
    show_default=True,
    help="Starting image for CT: filtered backprojection, from which networks learn within an hour, or A^T y, as in "
    "the paper. Final loss with the first seed is also trained from the other one.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the progress of every cell; train nothing.")
@click.option("--cells", "limit", type=CELLS, help="Cells to train before stopping. Default: all.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
def main(
    tasks: Sequence[str],
    models: Sequence[str],
    scale: str,
    data: Sequence[str],
    data_root: Path | None,
    results: Path,
    examples: Sequence[str],
    start: Start,
    only_list: bool,
    limit: int | None,
    device: str,
) -> int:
    """Run the queue from the command line."""
    keep_freed_memory()
    where = pick_device(device)
    training = TrainingSetup(
        scale=SCALES[scale],
        sources=data_sources(data, data_root),
        store=ResultStore(results),
        fabric=make_fabric(where),
        precision=precision_of(SCALES[scale], where),
        start=start,
        keep_weights=True,
        examples=by_task(examples),
    )
    chosen = tasks or PAPER_TASKS
    check_sources(chosen, training.sources, training.scale, SPLITS)
    check_examples(chosen, training.sources, training.scale, training.examples)
    cells = queued_cells(training, chosen, models or tuple(MODELS))
    if only_list:
        Console(markup=False).print(_table(cells, training.store))
        return 0
    records = work_off(cells, training, limit)
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


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


def work_off(cells: Sequence[StudyCell], training: TrainingSetup, limit: int | None = None) -> list[Record]:
    """Train every cell that is neither finished nor held by another process."""
    store, records = training.store, list[Record]()
    for cell in cells:
        if len(records) == limit:
            break
        with _claimed(checkpoint_of(cell.spec, cell.provenance, store).with_suffix(".lock")) as ours:
            if ours and finished(cell, store) is None:
                records += run_cells([cell], store)
                discard_checkpoints([cell], training)
    return records


def finished(cell: StudyCell, store: ResultStore) -> Record | None:
    """Return the finished record of a cell from any machine, if there is one: a queue may move between machines."""
    here = store.path_of(cell.spec, cell.provenance)
    question = here.stem.rpartition("-")[0]
    found = (store.read(path) for path in sorted(here.parent.glob(f"{question}-*.json")))
    return next((record for record in found if record.status.finished), None)


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


def _table(cells: Sequence[StudyCell], store: ResultStore) -> Table:
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


if __name__ == "__main__":
    run(main)
