"""Training: one step, which memory and timing measure too, and the loop around it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler

from bench.data import ImageSplit, LabelledImage
from bench.record import Loss
from bench.tasks.base import Task
from models import Reconstruction, ReconstructionModel
from operators import LinearOperator

CLIP_NORM = 1.0


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


def compute_gradients(
    model: ReconstructionModel,
    operator: LinearOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
) -> tuple[Tensor, Tensor]:
    """Run forward, loss and backward, and clip the gradient's norm to 1.

    Args:
        model: in training mode, gradients cleared.
        operator: A.
        y: measurements, (B, *operator.data_shape).
        truth: images, (B, C, H, W).
        loss: ``final`` or ``aux``.

    Returns:
        The loss and the gradient's norm before clipping, two scalars without a graph.
    """
    value = reconstruction_loss(model(y, operator), truth, loss)
    value.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM, foreach=True)
    return value.detach(), norm.detach()


def training_step(
    model: ReconstructionModel,
    optimizer: torch.optim.Optimizer,
    operator: LinearOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
) -> None:
    """Run one full step, as memory and time are measured: no value is looked at on the host."""
    compute_gradients(model, operator, y, truth, loss)
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
    """

    steps: int
    batch: int
    learning_rate: float
    loss: Loss
    seed: int


@dataclass
class TrainingLog:
    """The course of a training run.

    Attributes:
        losses: training loss of every step, nan where it was not finite.
        skipped: steps whose loss or gradient was not finite; the weights did not move.
        train_s: seconds of the whole run.
    """

    losses: list[float] = field(default_factory=list)
    skipped: int = 0
    train_s: float = 0.0

    @property
    def diverged(self) -> bool:
        """Whether more than a tenth of the steps were skipped."""
        return self.skipped > 0.1 * len(self.losses)


def fit(
    model: ReconstructionModel,
    operator: LinearOperator,
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
        Every step's loss, and how many steps were skipped.
    """
    model.train()
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    noise = torch.Generator().manual_seed(recipe.seed)
    log, started = TrainingLog(), time.monotonic()
    for step, truth in zip(range(recipe.steps), _batches(images, recipe), strict=False):
        truth = truth.to(device)
        y = task.measure(operator, truth, noise)
        loss, norm = compute_gradients(model, operator, y, truth, recipe.loss)
        finite = bool(torch.isfinite(loss + norm))
        if not finite:
            optimizer.zero_grad(set_to_none=True)  # without gradients Adam moves nothing
        optimizer.step()
        log.skipped += not finite
        log.losses.append(loss.item())
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        on_step(step, log.losses[-1])
    log.train_s = time.monotonic() - started
    return log


def _batches(images: ImageSplit[Any], recipe: Recipe) -> Iterator[Tensor]:
    """Endless seeded batches (B, C, H, W), reshuffled every epoch."""
    order = torch.Generator().manual_seed(recipe.seed)
    sampler = RandomSampler(images, generator=order)
    loader = DataLoader(images, recipe.batch, sampler=sampler, drop_last=True, collate_fn=_stack)
    while True:
        yield from loader


def _stack(items: list[LabelledImage]) -> Tensor:
    return torch.stack([item.image for item in items])
