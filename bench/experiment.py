"""Accuracy cells: train one model on one task, reconstruct held-out images, grade them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from bench.cli import resolve_model
from bench.data import ImageSplit, Split, source_label
from bench.environment import bf16_on_amx, number_flags, provenance
from bench.evaluate import NotFiniteError, QualityError, evaluate
from bench.own_code import code_of
from bench.progress import Reporter
from bench.recipe import Recipe, recipe_for
from bench.record import AccuracySpec, Loss, Measurement, Policy, Precision, Provenance, Spec, Status
from bench.runner import Cell, Outcome
from bench.scales import Scale
from bench.sources import files_of
from bench.store import ResultStore
from bench.tasks import TASKS
from bench.train import CHECKPOINT_S, Run, fit
from bench.training.batches import reading_shape
from bench.training.log import TrainingLog
from bench.training.pretrain import pretrain
from bench.training.validation import Validation
from bench.values import AccuracyValues
from bench.weights import save_weights
from models import ReconstructionModel

LOSSES: tuple[Loss, ...] = ("final", "aux")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the cells of one sweep train: what is asked, and what leaves the weights as they are.

    Attributes:
        scale: image size and numbers of images.
        sources: task -> folder of real images; generated images elsewhere.
        store: where checkpoints, weights and Figure 2's arrays go.
        fabric: where to train.
        precision: ``fp32`` or ``bf16``.
        changes: of the recipe.
        workers: processes that read images ahead.
        examples: task -> pattern of the name of the image that Figure 2 shows; elsewhere it is the first.
        keep_weights: whether the trained weights are stored.
        checkpoint_s: how many seconds a checkpoint may be behind.
    """

    scale: Scale
    sources: Mapping[str, Path]
    store: ResultStore
    fabric: Fabric
    precision: Precision = "fp32"
    changes: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 0
    examples: Mapping[str, str] = field(default_factory=dict)
    keep_weights: bool = False
    checkpoint_s: float = CHECKPOINT_S

    def recipe(self, task: str, model: str) -> Recipe:
        """Return a task's recipe without what the model does not know: a Jacobian, a denoiser."""
        made = resolve_model(model)
        known = {"jacobian_weight": hasattr(made, "jacobian_penalty"), "pretrain_steps": hasattr(made, "denoise")}
        recipe = recipe_for(task, self.scale.name, model, **self.changes)
        return recipe.model_copy(update={name: 0 for name, applies in known.items() if not applies})

    def load_split(self, spec: AccuracySpec, split: Split, shape: tuple[int, int], count: int) -> ImageSplit[Any]:
        """Open one split of a cell's images."""
        return TASKS[spec.task].load_split(self.sources.get(spec.task), split, image_shape=shape, count=count, seed=0)


def accuracy_cells(
    training: Training,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss] = LOSSES,
    policies: Sequence[Policy] = ("paper",),
    seeds: Sequence[int] = (0,),
) -> list[Cell]:
    """Return one cell per seed, task, model, loss and policy; a model without stages has no auxiliary loss.

    Args:
        training: what all of them share.
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        losses: ``final``, ``aux``.
        policies: ``paper``, ``recompute``.
        seeds: of initial weights, image order, views and noise.
    """
    where = provenance(training.fabric.device)
    cells = []
    for seed, task, model, loss, policy in product(seeds, tasks, models, losses, policies):
        if loss == "final" or getattr(resolve_model(model), "supports_auxiliary_loss", True):
            cells.append(_cell(_spec(training, task, model, loss, policy, seed), training, where))
    return cells


def discard_checkpoints(cells: Iterable[Cell], training: Training) -> None:
    """Delete the checkpoints of cells that are finished."""
    store = training.store
    for cell in cells if training.fabric.is_global_zero else ():
        if store.finished(cell.spec, cell.provenance) is not None:
            checkpoint_of(cell.spec, cell.provenance, store).unlink(missing_ok=True)


def checkpoint_of(spec: Spec, where: Provenance, store: ResultStore) -> Path:
    """Return the file that an interrupted training goes on from."""
    return store.root / "checkpoints" / store.path_of(spec, where).with_suffix(".safetensors").name


def _spec(training: Training, task: str, model: str, loss: Loss, policy: Policy, seed: int) -> AccuracySpec:
    scale, source, recipe = training.scale, training.sources.get(task), training.recipe(task, model)
    validated = recipe.validation_images if recipe.validations else 0
    used: dict[Split, int] = {"train": scale.train_images, "validation": validated, "test": scale.test_images}
    return AccuracySpec(
        task=task,
        model=model,
        code=code_of(model),
        image_shape=scale.image_shape(task),
        loss=loss,
        scale=scale.name,
        data=source_label(source),
        policy=policy,
        precision=training.precision,
        recipe=recipe,
        train_images=scale.train_images,
        test_images=scale.test_images,
        seed=seed,
        processes=training.fabric.world_size,
        files=files_of(task, source, used),
    )


def _cell(spec: AccuracySpec, training: Training, where: Provenance) -> Cell:
    def measure(reporter: Reporter) -> Outcome:
        model, log = _train(spec, training, checkpoint_of(spec, where, training.store), reporter)
        if not training.fabric.is_global_zero:
            return Outcome(Status.OK, None)
        task, shape = TASKS[spec.task], spec.image_shape
        test = training.load_split(spec, "test", shape, spec.test_images)
        operator = task.operator_at(shape, training.fabric.device)
        try:
            grades = evaluate(model, operator, task, test, training.examples.get(spec.task))
        except QualityError as error:
            status = Status.DIVERGED if isinstance(error, NotFiniteError) else Status.FAILED
            return Outcome(status, None, str(error))
        values = AccuracyValues(
            items=grades.items,
            loss_trace=tuple(log.losses),
            skipped_steps=log.skipped,
            solver_steps=grades.solver_steps,
            warm_solver_steps=grades.warm_solver_steps,
            residuals=grades.residuals,
            solver_trace=tuple(log.solver_trace),
            validation_trace=tuple(log.validation_trace),
            chosen_step=log.chosen_step,
            train_s=log.train_s,
            data_s=log.data_s,
            step_s=log.median_step_s,
            amx=bf16_on_amx(training.fabric.device) if spec.precision == "bf16" else None,
            flags=number_flags(),
            weights=_store_weights(spec, training, where, model),
            example=training.store.add_example(spec, where, **grades.example),
        )
        if log.diverged:
            message = f"{log.skipped} of {log.step} steps were not finite; training ended there"
            return Outcome(Status.DIVERGED, values, message)
        return Outcome(Status.OK, values, summary=_gain(values))

    def lacks(stored: Measurement) -> str:
        kept = stored.values.weights if isinstance(stored.values, AccuracyValues) else None
        if not training.keep_weights or (kept is not None and (training.store.root / kept).is_file()):
            return ""
        return "but without weights: --force trains it again and keeps them"

    return Cell(spec, where, measure, f"{spec.loss} loss, seed {spec.seed}", lacks)


def _store_weights(spec: AccuracySpec, training: Training, where: Provenance, model: ReconstructionModel) -> str | None:
    if not training.keep_weights:
        return None
    relative = Path("weights") / training.store.path_of(spec, where).with_suffix(".safetensors").name
    save_weights(training.store.root / relative, model, spec)
    return relative.as_posix()


def _train(
    spec: AccuracySpec, training: Training, checkpoint: Path, reporter: Reporter
) -> tuple[ReconstructionModel, TrainingLog]:
    task, recipe, device = TASKS[spec.task], spec.recipe, training.fabric.device
    torch.manual_seed(spec.seed)
    model = resolve_model(spec.model)(channels=task.channels).to(device)
    if device.type == "cpu":  # whose convolutions are a sixth faster so
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub
    model.policy = spec.policy
    read_at = reading_shape(spec.image_shape, recipe.augmentation)
    images = training.load_split(spec, "train", read_at, spec.train_images)
    if recipe.pretrain_steps:
        _become_denoiser(model, images, spec, checkpoint, reporter)
    validation = None
    if recipe.validations:
        chosen_on = training.load_split(spec, "validation", spec.image_shape, recipe.validation_images)
        validation = Validation(chosen_on, task.operator_at(spec.image_shape, device))
    run = Run(
        model=model,
        operator=task.operator_at(recipe.view_shape(spec.image_shape), device),
        task=task,
        images=images,
        recipe=recipe,
        loss=spec.loss,
        seed=spec.seed,
        validation=validation,
        precision=spec.precision,
        checkpoint=checkpoint,
        checkpoint_s=training.checkpoint_s,
        workers=training.workers,
        fabric=training.fabric,
    )
    return model, fit(run, lambda log, done: reporter.detail(log.summary(done)))


def _become_denoiser(
    model: ReconstructionModel, images: ImageSplit[Any], spec: AccuracySpec, checkpoint: Path, reporter: Reporter
) -> None:
    """Pre-train a model, unless a checkpoint tells that it was."""

    def tell(step: int, loss: float) -> None:
        reporter.detail(f"denoiser, step {step + 1}/{spec.recipe.pretrain_steps}, loss {loss:.5f}")

    if not checkpoint.exists():
        pretrain(model, images, spec.image_shape, spec.recipe, spec.seed, tell)
    model.end_pretraining()


def mean_psnr_db(values: AccuracyValues) -> tuple[float, float]:
    """Return the mean PSNR of the starting images and of the reconstructions, in dB."""
    count = len(values.items)
    start = sum(item.start_psnr_db for item in values.items) / count
    return start, sum(item.psnr_db for item in values.items) / count


def _gain(values: AccuracyValues) -> str:
    start, end = mean_psnr_db(values)
    return f"{end:.2f} dB from {start:.2f} dB"
