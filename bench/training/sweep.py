"""The shared settings of a sweep's cells, and the training of one: pretraining, then the whole network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from bench.cli.user_model import build_model, resolve_model
from bench.data.base import ImageSplit, Split
from bench.records import AccuracySpec, Precision, Start
from bench.records.recipe import Recipe, recipe_for
from bench.records.store import ResultStore
from bench.runner.progress import CellReporter
from bench.tasks import TASKS
from bench.tasks.scales import Scale
from bench.training.batches import reading_shape
from bench.training.log import TrainingLog
from bench.training.options import CHECKPOINT_S
from bench.training.pretrain import Pretraining, pretrain
from bench.training.processes import loggers, make_fabric
from bench.training.run import TrainingRun
from bench.training.step import placed
from bench.training.trainer import fit
from bench.training.validation import Validation, validate
from models import ReconstructionModel

ROUNDING_DB = 0.01
"""The most by which float16 weights may change the quality on validation images, to be stored as such."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """Settings of one sweep: those that belong to the question, and those that do not change the weights.

    Attributes:
        scale: image size and numbers of images.
        sources: task -> folder of real images; generated images elsewhere.
        store: where checkpoints, weights and Figure 2's arrays go.
        device: where to train.
        precision: ``fp32`` or ``bf16``.
        start: image that models start from where the operator has it; else the paper's.
        changes: of the recipe.
        workers: processes that read images ahead.
        examples: task -> pattern of the name of the image that Figure 2 shows; elsewhere it is the first.
        keep_weights: whether the trained weights are stored.
        checkpoint_s: the most seconds between checkpoints.
        tensorboard: folder that losses and scores are logged to.
    """

    scale: Scale
    sources: Mapping[str, Path]
    store: ResultStore
    device: torch.device
    precision: Precision = "fp32"
    start: Start = "adjoint"
    changes: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 0
    examples: Mapping[str, str] = field(default_factory=dict)
    keep_weights: bool = False
    checkpoint_s: float = CHECKPOINT_S
    tensorboard: Path | None = None

    @cached_property
    def fabric(self) -> Fabric:
        """The processes that train together; made in the process that trains."""
        return make_fabric(self.device, loggers(self.tensorboard))

    def recipe(self, task: str, model: str) -> Recipe:
        """Return a task's recipe without the parts that the model does not support: Jacobian penalty, pretraining."""
        made = resolve_model(model)
        known = {"jacobian_weight": hasattr(made, "jacobian_penalty"), "pretrain_steps": hasattr(made, "denoise")}
        recipe = recipe_for(task, self.scale.name, model, self.start, **self.changes)
        return recipe.model_copy(update={name: 0 for name, applies in known.items() if not applies})

    def load_split(self, spec: AccuracySpec, split: Split, shape: tuple[int, int], count: int) -> ImageSplit[Any]:
        """Open one split of a cell's images."""
        source, native = self.sources.get(spec.task), self.scale.native
        return TASKS[spec.task].load_split(source, split, image_shape=shape, count=count, seed=0, native=native)


def train_model(
    spec: AccuracySpec, training: TrainingSetup, checkpoint: Path, reporter: CellReporter
) -> tuple[ReconstructionModel, TrainingLog, TrainingLog]:
    """Train the model of one cell; resumes where an interrupted training of it stopped.

    Args:
        spec: the cell.
        training: how its sweep trains.
        checkpoint: of the training; the denoiser's is in the same folder.
        reporter: receives the progress.

    Returns:
        The model, and the logs of its training as a denoiser, which may be empty, and of the whole training.
    """
    task, recipe, device = TASKS[spec.task], spec.recipe, training.fabric.device
    torch.manual_seed(spec.seed)
    model = placed(build_model(spec.model, task.channels, spec.policy), device)
    model.start = spec.start
    images = training.load_split(spec, "train", reading_shape(spec.image_shape, recipe.augmentation), spec.train_images)
    denoiser = _become_denoiser(model, images, spec, training, checkpoint, reporter)
    run = TrainingRun(
        model=model,
        task=task,
        images=images,
        image_shape=spec.image_shape,
        recipe=recipe,
        loss=spec.loss,
        seed=spec.seed,
        validation=_validation(spec, training),
        precision=spec.precision,
        checkpoint=checkpoint,
        checkpoint_s=training.checkpoint_s,
        workers=training.workers,
        fabric=training.fabric,
    )
    return model, denoiser, fit(run, lambda log, done: reporter.detail(log.summary(done)))


@torch.no_grad()
def round_weights(spec: AccuracySpec, training: TrainingSetup, model: ReconstructionModel) -> bool:
    """Round a model's weights to float16 in place, unless that changes its quality on validation images.

    Returns:
        Whether they are rounded now; never without validation images.
    """
    validation = _validation(spec, training)
    if validation is None:
        return False
    exact = [parameter.clone() for parameter in model.parameters()]
    before, _ = validate(model, TASKS[spec.task], validation)
    for parameter in model.parameters():
        parameter.copy_(parameter.half())
    after, _ = validate(model, TASKS[spec.task], validation)
    if abs(after - before) < ROUNDING_DB:
        return True
    for parameter, kept in zip(model.parameters(), exact, strict=True):
        parameter.copy_(kept)
    return False


def _validation(spec: AccuracySpec, training: TrainingSetup) -> Validation | None:
    if not spec.recipe.validations:
        return None
    images = training.load_split(spec, "validation", spec.image_shape, spec.recipe.validation_images)
    return Validation(images, TASKS[spec.task].operator_at(spec.image_shape, training.fabric.device))


def denoiser_checkpoint(checkpoint: Path) -> Path:
    """Return the file that an interrupted training as a denoiser resumes from, beside that of the training."""
    return checkpoint.with_name(f"{checkpoint.stem}-denoiser{checkpoint.suffix}")


def _become_denoiser(
    model: ReconstructionModel,
    images: ImageSplit[Any],
    spec: AccuracySpec,
    training: TrainingSetup,
    checkpoint: Path,
    reporter: CellReporter,
) -> TrainingLog:
    steps = spec.recipe.pretrain_steps
    if not steps:
        return TrainingLog()
    run = Pretraining(
        model=model,
        images=images,
        image_shape=spec.image_shape,
        recipe=spec.recipe,
        seed=spec.seed,
        precision=spec.precision,
        checkpoint=denoiser_checkpoint(checkpoint),
        checkpoint_s=training.checkpoint_s,
        writes=training.fabric.is_global_zero,
    )
    log = pretrain(run, lambda log: reporter.detail(f"denoiser, {log.summary(log.step / steps)}"))
    model.end_pretraining()
    return log
