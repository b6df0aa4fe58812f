"""Denoiser pre-training: a model's network first learns alone, at one stage's cost, to remove noise."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data import ImageSplit
from bench.recipe import Recipe
from bench.training.batches import BatchOrder, augment, batches, random_numbers
from bench.training.step import clip_gradients, make_optimizer
from models import ReconstructionModel

NOISE_LEVEL = 0.1
"""Standard deviation on the [0, 1] scale. Gilton, Ongie and Willett's 0.01 teaches nothing in a few hundred steps."""

LEARNING_RATE = 1e-3
"""The highest; it rises and falls as in training."""


@runtime_checkable
class Denoiser(Protocol):
    """A model with a network that can be trained as a denoiser."""

    def denoise(self, noisy: Tensor) -> Tensor:
        """Return the denoised images, shaped like ``noisy``, (B, C, H, W)."""


def pretrain(
    model: ReconstructionModel,
    images: ImageSplit[Any],
    image_shape: tuple[int, int],
    recipe: Recipe,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train a model's denoiser in place; the step size, which it does not use, stays as it is.

    Call the model's ``end_pretraining`` afterwards.

    Args:
        model: a ``Denoiser``.
        images: the training split, at ``reading_shape``.
        image_shape: (H, W) of the views to denoise.
        recipe: its ``pretrain_steps``, batch, augmentation, course of the rate and largest gradient.
        seed: of image order, views and noise.
        on_step: told (step, loss) after every step.

    Raises:
        TypeError: if the model has no ``denoise``.

    Source: Gilton, Ongie and Willett 2021, Sec. V.
    """
    if not isinstance(model, Denoiser):
        raise TypeError(f"{type(model).__name__} has no denoiser to pre-train")
    model.train()
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, LEARNING_RATE)
    endless = batches(images, BatchOrder(len(images), recipe.batch, seed))
    for step, whole in zip(range(recipe.pretrain_steps), endless, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * recipe.course(step / recipe.pretrain_steps)
        clean = augment(whole, image_shape, recipe.augmentation, random_numbers(seed, step, "views"))
        noise = torch.randn(clean.shape, generator=random_numbers(seed, step, "noise"))
        loss = F.mse_loss(model.denoise((clean + NOISE_LEVEL * noise).to(device)), clean.to(device))
        loss.backward()
        if not torch.isfinite(clip_gradients(model, recipe.clip_norm)):
            optimizer.zero_grad(set_to_none=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        on_step(step, loss.item())
