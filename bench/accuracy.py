"""``python -m bench.accuracy``: train, reconstruct held-out images, store their scores (Table 2, Figure 2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table

from bench.cli import (
    EXIT_CODES,
    EXIT_FAILED_CELLS,
    Name,
    common_options,
    policy_option,
    run,
    scale_option,
    selection_options,
)
from bench.cli.sources import by_task, check_examples, check_sources, data_options, data_sources
from bench.data import Split
from bench.grade import grade_files
from bench.records import AccuracySpec, AccuracyValues, Loss, Policy, Precision, Record, Start, mean_psnr_db
from bench.records.environment import keep_freed_memory, pick_device
from bench.records.runner import all_answered, run_cells
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import SCALES, precision_of
from bench.training.cells import LOSSES, accuracy_cells, discard_checkpoints
from bench.training.options import given, recipe_options, training_options
from bench.training.processes import loggers, make_fabric
from bench.training.sweep import TrainingSetup
from models import MODELS

HELP = f"""Train models and grade them on held-out images by PSNR and SSIM.

The networks are the paper's at every scale. The scale sets image size and training length;
bench/records/recipes.toml sets how each task is trained. Without --data the images are generated. The task diffraction
is not in the paper and runs only with --task. An interrupted training resumes. Under torchrun, several GPUs share every
batch.

\b
Examples:
  python -m bench.accuracy --all
  python -m bench.accuracy --task deblur --model luser-dw --loss final
  python -m bench.accuracy --task ct --scale small --data LODOPAB
  python -m bench.accuracy --model deq4ip --pretrain-steps 200 --jacobian-weight 0.01
  python -m bench.accuracy --task ct --model luser-dw --scale paper --minutes 600 --precision bf16 --data LODOPAB
  torchrun --nproc-per-node 4 -m bench.accuracy --task ct --scale paper --data-root DATA --workers 4
  python -m bench.accuracy --all --scale paper --data-root DATA

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--all", "everything", is_flag=True, help="The paper's tasks, all models and losses: Table 2.")
@selection_options
@click.option(
    "--loss",
    "losses",
    type=Name("loss", lambda: LOSSES),
    multiple=True,
    help="final: error of the last image; aux: errors of all stages' images; repeatable. Default: both.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Grade published weights instead of training, as bench.grade does; repeatable.",
)
@policy_option
@scale_option
@data_options
@recipe_options
@training_options
@common_options
def main(
    everything: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss],
    weights: Sequence[Path],
    policies: Sequence[Policy],
    scale: str,
    data: Sequence[str],
    data_root: Path | None,
    precision: Precision | None,
    start: Start,
    seeds: Sequence[int],
    workers: int,
    checkpoint_s: float,
    keep_weights: bool,
    examples: Sequence[str],
    tensorboard: Path | None,
    results: Path,
    force: bool,
    device: str,
    **changes: Any,
) -> int:
    """Run the training cells from the command line."""
    if weights:
        graded = grade_files(weights, data_sources(data, data_root), pick_device(device), own=models)
        Console(markup=False).print(graded)
        return 0
    if not (everything or tasks or models or losses):
        raise click.ClickException("nothing selected: give --all, or --task, --model or --loss")
    keep_freed_memory()
    where = pick_device(device)
    training = TrainingSetup(
        scale=SCALES[scale],
        sources=data_sources(data, data_root),
        store=ResultStore(results),
        fabric=make_fabric(where, loggers(tensorboard)),
        precision=precision or precision_of(SCALES[scale], where),
        start=start,
        changes=given(changes),
        workers=workers,
        checkpoint_s=checkpoint_s,
        keep_weights=keep_weights,
        examples=by_task(examples),
    )
    chosen = tasks or PAPER_TASKS
    check_sources(chosen, training.sources, training.scale, get_args(Split))
    check_examples(chosen, training.sources, training.scale, training.examples)
    _check(training, models or tuple(MODELS))
    cells = accuracy_cells(training, chosen, models or tuple(MODELS), losses or LOSSES, policies, seeds)
    if not cells:
        raise click.ClickException("nothing to train: deq4ip has one stage, so --loss aux does not apply to it")
    discard_checkpoints(cells, training)
    records = run_cells(cells, training.store, force=force, fabric=training.fabric)
    discard_checkpoints(cells, training)
    if training.fabric.is_global_zero:
        Console(markup=False).print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def _check(training: TrainingSetup, models: Sequence[str]) -> None:
    """Refuse an option that applies to no chosen model."""
    recipes = [training.recipe(task, model) for task in TASKS for model in models]
    reasons = {"jacobian_weight": "no fixed point", "pretrain_steps": "no denoiser"}
    for name, reason in reasons.items():
        if training.changes.get(name) and not any(getattr(recipe, name) for recipe in recipes):
            raise click.ClickException(f"--{name.replace('_', '-')}: {reason} in {', '.join(models)}")


def _table(records: Sequence[Record]) -> Table:
    table = Table(title="Held-out images, mean PSNR in dB")
    for name in ("task", "model", "loss", "data", "start", "reconstruction", "status"):
        table.add_column(name, justify="right" if name in ("start", "reconstruction") else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, AccuracySpec)
        scores = ("?", "?")
        if isinstance(values, AccuracyValues):
            start, end = mean_psnr_db(values.items)
            scores = (f"{start:.2f}", f"{end:.2f}")
        table.add_row(spec.task, spec.model, spec.loss, spec.data, *scores, record.status.value)
    return table


if __name__ == "__main__":
    run(main)
