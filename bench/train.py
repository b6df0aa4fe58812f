"""Training: one step, which memory and timing measure too, and the loop around it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler

from bench.data import ImageSplit, LabelledImage
from bench.record import Loss, Precision
from bench.tasks.base import Task
from bench.values import SolverPoint
from models import EquilibriumModel, Reconstruction, ReconstructionModel, Solve
from operators import ForwardOperator

CLIP_NORM = 1.0
JACOBIAN_PROBABILITY = 0.08
"""Share of the steps that pay for the Jacobian's penalty (Bai, Koltun and Kolter 2021; MDEQ's recipe)."""
TRACE_POINTS = 100
DIVERGED_SHARE = 0.1


def reconstruction_loss(reconstruction: Reconstruction, truth: Tensor, loss: Loss) -> Tensor:
    """Mean squared error of the final image, or its mean over every stage's output.

    Args:
        reconstruction: a model's output.
        truth: images, (B, C, H, W).
        loss: ``final`` or ``aux`` (the auxiliary loss).

    Source: LUSER, Sec. 4.
    """
    images = reconstruction.stages if loss == "aux" else (reconstruction.image,)
    return torch.stack([F.mse_loss(image, truth) for image in images]).mean()


def make_optimizer(model: ReconstructionModel, learning_rate: float = 1e-3) -> torch.optim.Adam:
    """Return Adam as every command trains with; foreach is explicit, since fake tensors would not choose it."""
    return torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=True)


@dataclass(frozen=True)
class StepReport:
    """What one step found, without a graph.

    Attributes:
        loss: the reconstruction loss, a scalar.
        norm: the gradient's norm before clipping, a scalar.
        solves: the fixed points, both ways.
    """

    loss: Tensor
    norm: Tensor
    solves: tuple[Solve, ...]


Penalty = Callable[[Reconstruction], Tensor]
"""What is added to the loss of a reconstruction: a scalar with a graph."""


def compute_gradients(
    model: ReconstructionModel,
    operator: ForwardOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
    penalty: Penalty | None = None,
    precision: Precision = "fp32",
) -> StepReport:
    """Run forward, loss and backward, and clip the gradient's norm to 1.

    Args:
        model: in training mode, gradients cleared.
        operator: A.
        y: measurements, (B, *operator.data_shape).
        truth: images, (B, C, H, W).
        loss: ``final`` or ``aux``.
        penalty: added to the loss.
        precision: ``bf16`` runs the networks under autocast; weights, operators and solvers stay in float32.
    """
    with torch.autocast(truth.device.type, torch.bfloat16, enabled=precision == "bf16"):
        result = model(y, operator)
        value = total = reconstruction_loss(result, truth, loss)
        if penalty is not None:
            total = value + penalty(result)
    solves = result.solves
    del result  # its images are not needed any more: the backward pass may have their memory
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM, foreach=True)
    return StepReport(value.detach(), norm.detach(), solves)


def training_step(
    model: ReconstructionModel,
    optimizer: torch.optim.Optimizer,
    operator: ForwardOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
    precision: Precision = "fp32",
) -> None:
    """Run one full step, as memory and time are measured: no value is looked at on the host."""
    compute_gradients(model, operator, y, truth, loss, precision=precision)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps.
        batch: images a step.
        learning_rate: peak of the one-cycle schedule.
        loss: ``final`` or ``aux``.
        seed: of image order and noise.
        jacobian_weight: of the Jacobian's penalty, reached by half the training; 0 for none, and for models
            without fixed points.
    """

    steps: int
    batch: int
    learning_rate: float
    loss: Loss
    seed: int
    jacobian_weight: float = 0.0


@dataclass
class TrainingLog:
    """The course of a training run.

    Attributes:
        losses: training loss of every step, nan where it was not finite.
        skipped: steps whose loss or gradient was not finite; the weights did not move.
        diverged: whether more than a tenth of the planned steps were skipped, which ended the run.
        solver_trace: how the fixed points were solved, at up to 100 steps.
        train_s: seconds of the whole run.
    """

    losses: list[float] = field(default_factory=list)
    skipped: int = 0
    diverged: bool = False
    solver_trace: list[SolverPoint] = field(default_factory=list)
    train_s: float = 0.0

    def note(self, report: StepReport, recipe: Recipe) -> bool:
        """Take in a step's report; return whether its loss and gradient were finite."""
        finite = bool(torch.isfinite(report.loss + report.norm))
        step = len(self.losses)
        if report.solves and step % max(1, -(-recipe.steps // TRACE_POINTS)) == 0:
            self.solver_trace.append(_solver_point(step, report.solves))
        self.losses.append(report.loss.item())
        self.skipped += not finite
        self.diverged = self.skipped > DIVERGED_SHARE * recipe.steps
        return finite


def fit(
    model: ReconstructionModel,
    operator: ForwardOperator,
    task: Task,
    images: ImageSplit[Any],
    recipe: Recipe,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> TrainingLog:
    """Train a model in place with Adam, a one-cycle rate and clipped gradients.

    Args:
        model: on the operator's device.
        operator: A at the images' size.
        task: measures the images, with its noise.
        images: the training split.
        recipe: how long and how fast.
        on_step: told (step, loss) after every step.

    Returns:
        Every step's loss, how many steps were skipped, and how the fixed points were solved.
    """
    model.train()
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    noise = torch.Generator().manual_seed(recipe.seed)
    penalty = _jacobian_penalty(model, operator, recipe)
    log, started = TrainingLog(), time.monotonic()
    for step, truth in zip(range(recipe.steps), batches(images, recipe.batch, recipe.seed), strict=False):
        truth = truth.to(device)
        y = task.measure(operator, truth, noise)
        report = compute_gradients(model, operator, y, truth, recipe.loss, penalty(step, y))
        if not log.note(report, recipe):
            optimizer.zero_grad(set_to_none=True)  # without gradients Adam moves nothing
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        on_step(step, log.losses[-1])
        if log.diverged:
            break
    log.train_s = time.monotonic() - started
    return log


def _jacobian_penalty(
    model: ReconstructionModel, operator: ForwardOperator, recipe: Recipe
) -> Callable[[int, Tensor], Penalty | None]:
    """Return what tells, for a step and its measurements, which penalty it pays: most pay none."""
    generator = torch.Generator().manual_seed(recipe.seed)

    def at(step: int, y: Tensor) -> Penalty | None:
        if not recipe.jacobian_weight or not isinstance(model, EquilibriumModel):
            return None
        if torch.rand((), generator=generator) >= JACOBIAN_PROBABILITY:
            return None
        weight = recipe.jacobian_weight * min(1.0, 2 * (step + 1) / recipe.steps)
        return lambda result: weight * model.jacobian_penalty(y, operator, result, generator)

    return at


def _solver_point(step: int, solves: Sequence[Solve]) -> SolverPoint:
    backward = [solve.backward for solve in solves if solve.backward is not None]
    return SolverPoint(
        step=step,
        forward_steps=tuple(solve.forward.mean_steps for solve in solves),
        forward_residuals=tuple(solve.forward.mean_residual for solve in solves),
        backward_steps=tuple(stats.mean_steps for stats in backward),
        backward_residuals=tuple(stats.mean_residual for stats in backward),
    )


def batches(images: ImageSplit[Any], batch: int, seed: int) -> Iterator[Tensor]:
    """Yield endless seeded batches (B, C, H, W), reshuffled every epoch."""
    order = torch.Generator().manual_seed(seed)
    sampler = RandomSampler(images, generator=order)
    loader = DataLoader(images, batch, sampler=sampler, drop_last=True, collate_fn=_stack)
    while True:
        yield from loader


def _stack(items: list[LabelledImage]) -> Tensor:
    return torch.stack([item.image for item in items])
