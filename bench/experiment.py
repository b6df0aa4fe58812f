"""Accuracy cells: train one model on one task, reconstruct held-out images, grade them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from bench.cli import resolve_model
from bench.data import source_label
from bench.environment import provenance
from bench.evaluate import Grades, evaluate
from bench.pretrain import pretrain
from bench.progress import Reporter
from bench.record import AccuracySpec, Loss, Policy, Provenance, Status
from bench.runner import Cell, Outcome
from bench.scales import Scale
from bench.store import ResultStore
from bench.tasks import TASKS
from bench.train import Recipe, TrainingLog, fit
from bench.values import AccuracyValues


@dataclass(frozen=True)
class Stabilisers:
    """What may steady the training of models with fixed points; each acts on the models that know it.

    Attributes:
        jacobian_weight: of the Jacobian's penalty; 0 for none.
        pretrain_steps: steps of training as a denoiser before; 0 for none.
    """

    jacobian_weight: float = 0.0
    pretrain_steps: int = 0

    def of(self, model: str) -> "Stabilisers":
        """Return what applies to a model: no penalty without fixed points, no pre-training without denoiser."""
        made = resolve_model(model)
        return Stabilisers(
            self.jacobian_weight if hasattr(made, "jacobian_penalty") else 0.0,
            self.pretrain_steps if hasattr(made, "denoise") else 0,
        )


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
    policies: Sequence[Policy] = ("paper",),
    stabilisers: Stabilisers = Stabilisers(),  # immutable
) -> list[Cell]:
    """Return one cell per task, model, loss and policy; a model without stages has no auxiliary loss and no such cell.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        losses: ``final``, ``aux``.
        scale: image size and length of the training.
        sources: task -> folder of real images; generated images elsewhere.
        store: where Figure 2's arrays go.
        device: where to train.
        seed: of initial weights, image order and noise.
        policies: ``paper``, ``recompute``.
        stabilisers: for models with fixed points.
    """
    where = provenance(device)
    cells = []
    for task, model in product(tasks, models):
        staged = getattr(resolve_model(model), "supports_auxiliary_loss", True)
        for loss, policy in product(losses, policies):
            if loss == "final" or staged:
                source = sources.get(task)
                spec = _spec(task, model, loss, scale, source, seed, policy, stabilisers.of(model))
                cells.append(_cell(spec, source, scale, where, store, device))
    return cells


def _spec(
    task: str,
    model: str,
    loss: Loss,
    scale: Scale,
    source: Path | None,
    seed: int,
    policy: Policy,
    stabilisers: Stabilisers,
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
        jacobian_weight=stabilisers.jacobian_weight,
        pretrain_steps=stabilisers.pretrain_steps,
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
            warm_solver_steps=grades.warm_solver_steps,
            residuals=grades.residuals,
            solver_trace=tuple(log.solver_trace),
            train_s=log.train_s,
            example=store.add_example(spec, where, **grades.example),
        )
        if log.diverged:
            message = f"{log.skipped} of {len(log.losses)} steps were not finite; training ended there"
            return Outcome(Status.DIVERGED, values, message)
        return Outcome(Status.OK, values, summary=_gain(values))

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

    def report(what: str, steps: int) -> Callable[[int, float], None]:
        return lambda step, loss: reporter.detail(f"{what}step {step + 1}/{steps}, loss {loss:.5f}")

    recipe = Recipe(spec.steps, spec.batch, scale.learning_rate, spec.loss, spec.seed, spec.jacobian_weight)
    if spec.pretrain_steps:
        pretrain(model, train, recipe, spec.pretrain_steps, report("denoiser, ", spec.pretrain_steps))
    log = fit(model, operator, task, train, recipe, report("", spec.steps))
    return log, evaluate(model, operator, task, test)


def mean_psnr_db(values: AccuracyValues) -> tuple[float, float]:
    """Return the mean PSNR of the starting images and of the reconstructions, in dB."""
    count = len(values.items)
    start = sum(item.start_psnr_db for item in values.items) / count
    return start, sum(item.psnr_db for item in values.items) / count


def _gain(values: AccuracyValues) -> str:
    start, end = mean_psnr_db(values)
    return f"{end:.2f} dB from {start:.2f} dB"
