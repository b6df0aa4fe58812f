"""``python -m bench.accuracy``: train, reconstruct held-out images, store what they score (Table 2, Figure 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import (
    EXIT_CODES,
    EXIT_FAILED_CELLS,
    Name,
    common_options,
    data_option,
    resolve_model,
    run,
    scale_option,
    selection_options,
)
from bench.data import source_label
from bench.environment import pick_device, provenance
from bench.evaluate import Grades, evaluate
from bench.progress import Reporter
from bench.record import AccuracySpec, AccuracyValues, Loss, Measurement, Policy, Provenance, Status
from bench.runner import Cell, Outcome, all_answered, run_cells
from bench.scales import SCALES, Scale
from bench.sources import check_sources, data_sources
from bench.store import ResultStore
from bench.tasks import TASKS
from bench.train import Recipe, TrainingLog, fit
from models import MODELS

LOSSES: tuple[Loss, ...] = get_args(Loss)

HELP = f"""Train models and grade them on held-out images by PSNR and SSIM.

The networks are always the paper's; the scale decides image size and training length. Without --data the images
are generated, so nothing has to be downloaded.

\b
Examples:
  python -m bench.accuracy --all
  python -m bench.accuracy --task deblur --model luser-dw --loss final
  python -m bench.accuracy --task ct --scale small --data LODOPAB
  python -m bench.accuracy --all --data deblur=PHOTOS --data ct=LODOPAB --data mri4x=FASTMRI --data mri8x=FASTMRI

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--all", "everything", is_flag=True, help="All tasks, models and losses: the cells of Table 2.")
@selection_options
@click.option(
    "--loss",
    "losses",
    type=Name("loss", lambda: LOSSES),
    multiple=True,
    help="final: error of the last image; aux: of every stage's; repeatable. Default: both.",
)
@scale_option
@data_option
@click.option("--seed", default=0, show_default=True, help="Of initial weights, image order and noise.")
@common_options
def main(
    everything: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss],
    scale: str,
    data: Sequence[str],
    seed: int,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the training cells from the command line."""
    if not (everything or tasks or models or losses):
        raise click.ClickException("say what to train: --all, or --task, --model or --loss")
    store, sources = ResultStore(results), data_sources(data)
    check_sources(tasks or tuple(TASKS), sources, SCALES[scale])
    cells = accuracy_cells(
        tasks or tuple(TASKS),
        models or tuple(MODELS),
        losses or LOSSES,
        SCALES[scale],
        sources,
        store,
        device=pick_device(device),
        seed=seed,
    )
    if not cells:
        raise click.ClickException("nothing to train: deq4ip has one stage, so --loss aux does not apply to it")
    records = run_cells(cells, store, force=force)
    Console().print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def accuracy_cells(
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss],
    scale: Scale,
    sources: Mapping[str, Path],
    store: ResultStore,
    *,
    device: torch.device,
    seed: int = 0,
    policy: Policy = "paper",
) -> list[Cell]:
    """Return one cell per task, model and loss; a model without stages has no auxiliary loss and no such cell.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        losses: ``final``, ``aux``.
        scale: image size and length of the training.
        sources: task -> folder of real images; generated images elsewhere.
        store: where Figure 2's arrays go.
        device: where to train.
        seed: of initial weights, image order and noise.
        policy: what training keeps for the backward pass.
    """
    where = provenance(device)
    cells = []
    for task in tasks:
        for model in models:
            staged = getattr(resolve_model(model), "supports_auxiliary_loss", True)
            for loss in losses:
                if loss == "final" or staged:
                    spec = _spec(task, model, loss, scale, sources.get(task), seed, policy)
                    cells.append(_cell(spec, sources.get(task), scale, where, store, device))
    return cells


def _spec(
    task: str, model: str, loss: Loss, scale: Scale, source: Path | None, seed: int, policy: Policy
) -> AccuracySpec:
    return AccuracySpec(
        task=task,
        model=model,
        image_shape=scale.image_shape(task),
        loss=loss,
        scale=scale.name,
        data=source_label(source),
        policy=policy,
        steps=scale.steps,
        batch=scale.batch,
        train_images=scale.train_images,
        test_images=scale.test_images,
        seed=seed,
    )


def _cell(
    spec: AccuracySpec,
    source: Path | None,
    scale: Scale,
    where: Provenance,
    store: ResultStore,
    device: torch.device,
) -> Cell:
    def measure(reporter: Reporter) -> Outcome:
        log, grades = _train_and_grade(spec, source, scale, device, reporter)
        values = AccuracyValues(
            items=grades.items,
            loss_trace=tuple(log.losses),
            skipped_steps=log.skipped,
            solver_steps=grades.solver_steps,
            residuals=grades.residuals,
            train_s=log.train_s,
            example=store.add_example(spec, where, **grades.example),
        )
        status = Status.DIVERGED if log.diverged else Status.OK
        return Outcome(status, values, summary=_gain(values))

    return Cell(spec, where, measure, f"{spec.loss} loss")


def _train_and_grade(
    spec: AccuracySpec, source: Path | None, scale: Scale, device: torch.device, reporter: Reporter
) -> tuple[TrainingLog, Grades]:
    task = TASKS[spec.task]
    torch.manual_seed(spec.seed)
    operator = task.operator_at(spec.image_shape, device)
    model = resolve_model(spec.model)(channels=task.channels).to(device)
    model.policy = spec.policy
    train = task.load_split(source, "train", image_shape=spec.image_shape, count=spec.train_images, seed=0)
    test = task.load_split(source, "test", image_shape=spec.image_shape, count=spec.test_images, seed=0)

    def on_step(step: int, loss: float) -> None:
        reporter.detail(f"step {step + 1}/{spec.steps}, loss {loss:.5f}")

    recipe = Recipe(spec.steps, spec.batch, scale.learning_rate, spec.loss, spec.seed)
    log = fit(model, operator, task, train, recipe, on_step)
    return log, evaluate(model, operator, task, test)


def mean_psnr_db(values: AccuracyValues) -> tuple[float, float]:
    """Return the mean PSNR of the starting images and of the reconstructions, in dB."""
    count = len(values.items)
    start = sum(item.start_psnr_db for item in values.items) / count
    return start, sum(item.psnr_db for item in values.items) / count


def _gain(values: AccuracyValues) -> str:
    start, end = mean_psnr_db(values)
    return f"{end:.2f} dB from {start:.2f} dB"


def _table(records: Sequence[Measurement]) -> Table:
    table = Table(title="Held-out images, mean PSNR in dB")
    for name in ("task", "model", "loss", "data", "start", "reconstruction", "status"):
        table.add_column(name, justify="right" if name in ("start", "reconstruction") else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, AccuracySpec)
        scores = ("?", "?")
        if isinstance(values, AccuracyValues):
            start, end = mean_psnr_db(values)
            scores = (f"{start:.2f}", f"{end:.2f}")
        table.add_row(spec.task, spec.model, spec.loss, spec.data, *scores, record.status.value)
    return table


if __name__ == "__main__":
    run(main)
