"""``python -m bench.accuracy``: train, reconstruct held-out images, store their scores (Table 2, Figure 2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from bench.cli import (
    EXIT_CODES,
    Name,
    Study,
    data_options,
    policy_option,
    run,
    scale_option,
    selection_options,
    study_options,
)
from bench.training.options import given, recipe_options, training_options

if TYPE_CHECKING:
    from bench.records import Loss, Policy, Precision, Start
    from bench.training.sweep import TrainingSetup

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


def _losses() -> tuple[str, ...]:
    from bench.records import Loss

    return get_args(Loss)


@click.command(help=HELP)
@click.option("--all", "everything", is_flag=True, help="The paper's tasks, all models and losses: Table 2.")
@selection_options
@click.option(
    "--loss",
    "losses",
    type=Name("loss", _losses),
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
@study_options
def main(
    everything: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: "Sequence[Loss]",
    weights: Sequence[Path],
    policies: "Sequence[Policy]",
    seeds: Sequence[int],
    data: Sequence[str],
    data_root: Path | None,
    study: Study,
    **options: Any,
) -> int:
    """Run the training cells from the command line."""
    if not (everything or tasks or models or losses or weights):
        raise click.ClickException("nothing selected: give --all, or --task, --model or --loss")
    from bench.cli.sources import data_sources
    from bench.tasks import PAPER_TASKS
    from bench.training.cells import LOSSES, accuracy_cells, accuracy_table, discard_checkpoints
    from models import MODELS

    sources = data_sources(data, data_root)
    if weights:
        return _grade(weights, models, sources, study)
    tasks, models = tasks or PAPER_TASKS, models or tuple(MODELS)
    training = _setup(study, sources, tasks, **options)
    _check_changes(training, models)
    cells = accuracy_cells(training, tasks, models, losses or LOSSES, policies, seeds)
    if not cells:
        raise click.ClickException("nothing to train: deq4ip has one stage, so --loss aux does not apply to it")
    discard_checkpoints(cells, training.store)
    code = study.answer(cells, accuracy_table)
    discard_checkpoints(cells, training.store)
    return code


def _setup(
    study: Study,
    sources: dict[str, Path],
    tasks: Sequence[str],
    *,
    scale: str,
    precision: "Precision | None",
    start: "Start",
    workers: int,
    checkpoint_s: float,
    keep_weights: bool,
    examples: Sequence[str],
    tensorboard: Path | None,
    **changes: Any,
) -> "TrainingSetup":
    """Return what all cells share, with its images checked."""
    from bench.cli.sources import by_task, check_examples, check_sources
    from bench.data.base import Split
    from bench.tasks.scales import SCALES, precision_of
    from bench.training.processes import loggers
    from bench.training.sweep import TrainingSetup

    loggers(tensorboard)  # refuses it where TensorBoard is not installed
    training = TrainingSetup(
        scale=SCALES[scale],
        sources=sources,
        store=study.store,
        device=study.place,
        precision=precision or precision_of(SCALES[scale], study.place),
        start=start,
        changes=given(changes),
        workers=workers,
        checkpoint_s=checkpoint_s,
        keep_weights=keep_weights,
        examples=by_task(examples),
        tensorboard=tensorboard,
    )
    check_sources(tasks, sources, training.scale, get_args(Split))
    check_examples(tasks, sources, training.scale, training.examples)
    return training


def _grade(weights: Sequence[Path], models: Sequence[str], sources: "dict[str, Path]", study: Study) -> int:
    from bench.training.published import grade_files

    study.show(grade_files(weights, sources, study.place, own=models))
    return 0


def _check_changes(training: "TrainingSetup", models: Sequence[str]) -> None:
    """Refuse an option that applies to no chosen model."""
    from bench.tasks import TASKS

    recipes = [training.recipe(task, model) for task in TASKS for model in models]
    reasons = {"jacobian_weight": "no fixed point", "pretrain_steps": "no denoiser"}
    for name, reason in reasons.items():
        if training.changes.get(name) and not any(getattr(recipe, name) for recipe in recipes):
            raise click.ClickException(f"--{name.replace('_', '-')}: {reason} in {', '.join(models)}")


if __name__ == "__main__":
    run(main)
