"""Denoiser pretraining: a model's network first learns alone, at one stage's cost, to remove noise."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.base import ImageSplit
from bench.records import Precision
from bench.records.recipe import Recipe
from bench.tasks.windows import cut
from bench.training.batches import BatchOrder, augment, batches, random_numbers
from bench.training.checkpoint import (
    joined,
    load_module,
    load_optimizer,
    optimizer_tensors,
    read_checkpoint,
    under,
    write_checkpoint,
)
from bench.training.log import TrainingLog
from bench.training.step import (
    StepReport,
    autocast,
    buffers_of,
    clip_gradients,
    make_optimizer,
    restore_buffers,
    use_solvers_of,
)
from models import ReconstructionModel

NOISE_LEVEL = 0.1
"""Standard deviation on the [0, 1] scale. With Gilton, Ongie and Willett's 0.01, networks learn nothing in a few
hundred steps."""

LEARNING_RATE = 1e-3
"""The highest rate; it rises and falls as in training."""


@runtime_checkable
class Denoiser(Protocol):
    """A model with a network that can be trained as a denoiser."""

    def denoise(self, noisy: Tensor) -> Tensor:
        """Return the denoised images, shaped like ``noisy``, (B, C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """A denoiser's training: model, images and settings.

    Attributes:
        model: a ``Denoiser``; changed in place. The step size, which it does not use, stays as it is.
        images: the training split, at ``reading_shape``.
        image_shape: (H, W) in pixels of the images that are graded; the recipe says what a step sees of them.
        recipe: its fields ``pretrain_*``, augmentation, schedule of the rate and largest gradient.
        seed: of image order, views and noise.
        precision: ``fp32`` or ``bf16``.
        checkpoint: file to resume from and to update, at most ``checkpoint_s`` seconds old.
        checkpoint_s: see there.
        writes: whether this process updates it; all processes of a parallel run train the same denoiser.
    """

    model: ReconstructionModel
    images: ImageSplit[Any]
    image_shape: tuple[int, int]
    recipe: Recipe
    seed: int = 0
    precision: Precision = "fp32"
    checkpoint: Path | None = None
    checkpoint_s: float = 30.0
    writes: bool = True


def pretrain(run: Pretraining, on_step: Callable[[TrainingLog], None] = lambda log: None) -> TrainingLog:
    """Train a model's denoiser; resumes like ``bench.training.trainer.fit``, bit for bit on the CPU.

    Call the model's ``end_pretraining`` afterwards.

    Args:
        run: what to train.
        on_step: receives the log after every step.

    Returns:
        Losses and seconds.

    Raises:
        TypeError: if the model has no ``denoise``.
        CheckpointError: if the checkpoint is broken or another model's.

    Source: Gilton, Ongie and Willett 2021, Sec. V.
    """
    if not isinstance(run.model, Denoiser):
        raise TypeError(f"{type(run.model).__name__} has no denoiser to pre-train")
    run.model.train()
    own_solvers = use_solvers_of(run.recipe, run.model)
    optimizer = make_optimizer(run.model, LEARNING_RATE)
    log, saved = _resume(run, optimizer), time.monotonic()
    batch = run.recipe.pretrain_batch or run.recipe.batch
    order = BatchOrder(len(run.images), batch, run.seed, first_step=log.step)
    for images in batches(run.images, order):
        if log.step >= run.recipe.pretrain_steps:
            break
        _step(run, optimizer, images, log)
        on_step(log)
        if time.monotonic() - saved > run.checkpoint_s:
            _save(run, optimizer, log)
            saved = time.monotonic()
    _save(run, optimizer, log)
    own_solvers()
    return log


def _step(run: Pretraining, optimizer: torch.optim.Optimizer, images: list[Tensor], log: TrainingLog) -> None:
    started, step, model = time.monotonic(), log.step, run.model
    assert isinstance(model, Denoiser)
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE * run.recipe.course(step / run.recipe.pretrain_steps)
    numbers = random_numbers(run.seed, step, "views")
    shape = run.recipe.pretrain_shape(run.image_shape)
    clean = torch.stack([cut(augment(image, run.recipe.augmentation, numbers), shape, numbers) for image in images])
    noise = torch.randn(clean.shape, generator=random_numbers(run.seed, step, "noise"))
    device, before = model.step_size.device, buffers_of(model)
    with autocast(device, run.precision):
        denoised = model.denoise((clean + NOISE_LEVEL * noise).to(device))
        loss = F.mse_loss(denoised, clean.to(device))
    loss.backward()
    report = StepReport(loss.detach(), clip_gradients(model, run.recipe.clip_norm), ())
    if not report.finite:
        optimizer.zero_grad(set_to_none=True)
        restore_buffers(model, before)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    log.note(report, time.monotonic() - started, 0.0)


def _save(run: Pretraining, optimizer: torch.optim.Optimizer, log: TrainingLog) -> None:
    if run.checkpoint is not None and run.writes:
        parts = {"model": run.model.state_dict(), "optimizer": optimizer_tensors(optimizer)}
        write_checkpoint(run.checkpoint, joined(parts), log)


def _resume(run: Pretraining, optimizer: torch.optim.Optimizer) -> TrainingLog:
    if run.checkpoint is None or not run.checkpoint.exists():
        return TrainingLog()
    tensors, log = read_checkpoint(run.checkpoint)
    load_module(run.model, under("model", tensors))
    load_optimizer(optimizer, under("optimizer", tensors))
    return log
