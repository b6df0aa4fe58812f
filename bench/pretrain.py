"""Denoiser pre-training: a deep-equilibrium model's network first learns to remove a little noise."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data import ImageSplit
from bench.train import CLIP_NORM, Recipe, batches, make_optimizer
from models import ReconstructionModel

NOISE_LEVEL = 0.01
"""Standard deviation on the [0, 1] scale (Gilton, Ongie and Willett 2021)."""


@runtime_checkable
class Denoiser(Protocol):
    """A model with a network that can be trained as a denoiser."""

    def denoise(self, noisy: Tensor) -> Tensor:
        """Return the denoised images, shaped like ``noisy``, (B, C, H, W)."""


def pretrain(
    model: ReconstructionModel,
    images: ImageSplit[Any],
    recipe: Recipe,
    steps: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a model's denoiser in place; the step size, which it does not use, stays as it is.

    Args:
        model: a ``Denoiser``.
        images: the training split.
        recipe: batch, rate and seed; its loss and its number of steps are not used.
        steps: optimiser steps.
        on_step: told (step, loss) after every step.

    Raises:
        TypeError: if the model has no ``denoise``.

    Source: Gilton, Ongie and Willett 2021, Sec. V.
    """
    if not isinstance(model, Denoiser):
        raise TypeError(f"{type(model).__name__} has no denoiser to pre-train")
    model.train()
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, recipe.learning_rate)
    noise = torch.Generator().manual_seed(recipe.seed)
    for step, clean in zip(range(steps), batches(images, recipe.batch, recipe.seed), strict=False):
        noisy = clean + NOISE_LEVEL * torch.randn(clean.shape, generator=noise)
        loss = F.mse_loss(model.denoise(noisy.to(device)), clean.to(device))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM, foreach=True)
        if not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        on_step(step, loss.item())
