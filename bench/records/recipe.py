"""Training recipes, one per task, read from ``recipes.toml``. Never imports torch."""

import math
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.records.frozen import Frozen
from bench.records.identity import ADDED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Augmentation = Literal["flip", "quarter-turn", "crop"]
LAYERS = ("common", "tasks", "scales", "models")
_FILE = Path(__file__).parent / "recipes.toml"


class Window(Frozen):
    """What a step sees of an image, up to a point of the run."""

    until: float = Field(gt=0, le=1, description="share of the run")
    side: int | None = Field(default=None, ge=1, description="in pixels; None: whole images")
    shrunk: bool = Field(
        default=False, description="whole images whose longer side is that, not parts of them", json_schema_extra=ADDED
    )


class Recipe(Frozen):
    """What decides a training run beside its model, images, loss and seed."""

    steps: int = Field(ge=1, description="optimiser steps")
    batch: int = Field(ge=1, description="images per step, over all processes")
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
    windows: tuple[Window, ...] = Field(
        default=(), description="in pixels, one after the other; in place of 'window'", json_schema_extra=ADDED
    )
    pretrain_window: int | None = Field(
        default=None, ge=1, description="side in pixels of what a denoiser sees", json_schema_extra=ADDED
    )
    pretrain_batch: int | None = Field(
        default=None, ge=1, description="images a step as a denoiser; None: as 'batch'", json_schema_extra=ADDED
    )
    tolerance: float | None = Field(
        default=None, gt=0, description="of the solves in training; None: the model's own", json_schema_extra=ADDED
    )
    backward_tolerance: float | None = Field(
        default=None, gt=0, description="of the gradient's solves; None: as 'tolerance'", json_schema_extra=ADDED
    )
    solver_steps: int | None = Field(
        default=None, ge=1, description="bound of a solve in training; None: the model's own", json_schema_extra=ADDED
    )
    frozen_statistics: float = Field(
        default=1.0, ge=0, le=1, description="share of the run after which BatchNorm's stand", json_schema_extra=ADDED
    )

    @model_validator(mode="after")
    def _windows_fit(self) -> "Recipe":
        if self.window < 1 and "crop" not in self.augmentation:
            raise ValueError("a window smaller than the image needs the augmentation 'crop'")
        ends = [window.until for window in self.windows]
        if ends != sorted(set(ends)) or (ends and ends[-1] != 1):
            raise ValueError("windows must be in order, the last until 1")
        if self.windows and (self.window < 1 or "crop" in self.augmentation):
            raise ValueError("windows in pixels stand in place of 'window' and of the augmentation 'crop'")
        return self

    def window_at(self, done: float) -> Window:
        """Return what a training step sees at a share of the run, by 'windows'; whole images where there are none."""
        return next((window for window in self.windows if done < window.until), (Window(until=1), *self.windows)[-1])

    def view_shape(self, image_shape: tuple[int, int], done: float = 0.0) -> tuple[int, int]:
        """Return the (H, W) that a training step sees of images that are wanted at (H, W), at a share of the run."""
        if not self.windows:
            return round(self.window * image_shape[0]), round(self.window * image_shape[1])
        window = self.window_at(done)
        if window.shrunk and window.side:
            share = min(1.0, window.side / max(image_shape))
            return round(share * image_shape[0]), round(share * image_shape[1])
        return _within(window.side, image_shape)

    def pretrain_shape(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the (H, W) that a step as a denoiser sees of images that are wanted at (H, W)."""
        return _within(self.pretrain_window, image_shape)

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


def _within(side: int | None, image_shape: tuple[int, int]) -> tuple[int, int]:
    height, width = image_shape
    return (height, width) if side is None else (min(side, height), min(side, width))


def recipe_for(task: str, scale: str, model: str, start: str = "adjoint", **changes: Any) -> Recipe:
    """Put a recipe together from the file's layers, the later over the earlier.

    Args:
        task: key of ``TASKS``; one that the file does not name has the common recipe.
        scale: key of ``SCALES``.
        model: key of ``MODELS``, or a user's own, which has the common recipe too.
        start: image that the model starts from, see ``models.base``.
        changes: fields that a command's options replace.

    Returns:
        ``[common]``, then ``[tasks.<task>]``, ``[scales.<scale>]``, ``[scales.<scale>.<task>]``,
        ``[scales.<scale>.<task>.<start>]``, ``[models.<model>]``, ``[scales.<scale>.<model>]``,
        ``[scales.<scale>.<task>.<model>]`` and the changes.
    """
    file = _layers()
    of_scale = dict(file["scales"].get(scale, {}))
    at_scale = _tables(of_scale)
    of_task = dict(at_scale.get(task, {}))
    of_start = of_model = _tables(of_task)
    layers = (
        file["common"],
        file["tasks"].get(task, {}),
        of_scale,
        of_task,
        of_start.get(start, {}),
        file["models"].get(model, {}),
        at_scale.get(model, {}),
        of_model.get(model, {}),
        changes,
    )
    return Recipe(**{name: value for layer in layers for name, value in layer.items()})


def scale_names() -> list[str]:
    """Return the scales that have recipes."""
    return list(_layers()["scales"])


def _tables(layer: dict[str, Any]) -> dict[str, Any]:
    """Take the tables out of a layer, which then holds fields alone."""
    return {name: layer.pop(name) for name in list(layer) if isinstance(layer[name], dict)}


@lru_cache(maxsize=1)
def _layers() -> dict[str, dict[str, Any]]:
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {layer: content.get(layer, {}) for layer in LAYERS}
