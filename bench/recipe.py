"""How a model is trained: one recipe per task, read from ``recipes.toml``. Never imports torch."""

import math
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.values import Frozen

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Augmentation = Literal["flip", "quarter-turn", "crop"]
LAYERS = ("common", "tasks", "scales", "models")
_FILE = Path(__file__).parent / "recipes.toml"


class Recipe(Frozen):
    """What decides a training run beside its model, images, loss and seed."""

    steps: int = Field(ge=1, description="optimiser steps")
    batch: int = Field(ge=1, description="images a step, over all processes")
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(gt=0, description="the highest")
    step_size_rate: float = Field(default=1.0, gt=0, description="of the models' step size, in learning rates")
    weight_decay: float = Field(default=0.0, ge=0, description="of adamw")
    warmup: float = Field(default=0.0, ge=0, le=1, description="share of the run in which the rate rises linearly")
    final_rate: float = Field(default=0.0, ge=0, le=1, description="share of the highest rate where the cosine ends")
    clip_norm: float = Field(default=1.0, gt=0, description="largest norm of a gradient")
    ema_decay: float = Field(default=0.0, ge=0, lt=1, description="of the weights' moving average; 0 for none")
    augmentation: tuple[Augmentation, ...] = Field(default=(), description="of the training images, in this order")
    window: float = Field(default=1.0, gt=0, le=1, description="side of what a step sees, as a share of the image's")
    validations: int = Field(default=0, ge=0, description="how often, evenly spread; the best weights are kept")
    validation_images: int = Field(default=0, ge=0, description="of the validation split")
    jacobian_weight: float = Field(default=0.0, ge=0, description="of the penalty on maps with fixed points")
    pretrain_steps: int = Field(default=0, ge=0, description="of training as a denoiser before")
    minutes: float | None = Field(default=None, gt=0, description="a budget of time, which replaces that of steps")

    @model_validator(mode="after")
    def _window_is_cropped(self) -> "Recipe":
        if self.window < 1 and "crop" not in self.augmentation:
            raise ValueError("a window smaller than the image needs the augmentation 'crop'")
        return self

    def view_shape(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the (H, W) that a training step sees of images that are wanted at (H, W)."""
        return round(self.window * image_shape[0]), round(self.window * image_shape[1])

    def course(self, done: float) -> float:
        """Return the share of the highest rate at a share of the run: a linear rise, then half a cosine."""
        if done < self.warmup:
            # Half a per cent of a run rather than nothing at its first step, which would be wasted.
            return max(done, 0.005) / self.warmup
        fallen = (done - self.warmup) / max(1 - self.warmup, 1e-9)
        return self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * fallen)) / 2

    def rate_at(self, done: float) -> float:
        """Return the learning rate at a share of the run."""
        return self.learning_rate * self.course(done)


def recipe_for(task: str, scale: str, model: str, **changes: Any) -> Recipe:
    """Put a recipe together from the file's layers, the later over the earlier.

    Args:
        task: key of ``TASKS``; one that the file does not name has the common recipe.
        scale: key of ``SCALES``.
        model: key of ``MODELS``, or a user's own, which has the common recipe too.
        changes: fields that a command's options replace.

    Returns:
        ``[common]``, then ``[tasks.<task>]``, ``[scales.<scale>]``, ``[scales.<scale>.<task>]``, ``[models.<model>]``,
        ``[scales.<scale>.<model>]`` and the changes.
    """
    file = _layers()
    of_scale = dict(file["scales"].get(scale, {}))
    at_scale = {name: of_scale.pop(name) for name in list(of_scale) if isinstance(of_scale[name], dict)}
    layers = (
        file["common"],
        file["tasks"].get(task, {}),
        of_scale,
        at_scale.get(task, {}),
        file["models"].get(model, {}),
        at_scale.get(model, {}),
        changes,
    )
    return Recipe(**{name: value for layer in layers for name, value in layer.items()})


@lru_cache(maxsize=1)
def _layers() -> dict[str, dict[str, Any]]:
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {layer: content.get(layer, {}) for layer in LAYERS}
