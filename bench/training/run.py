"""The parts of one training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from bench.data.base import ImageSplit
from bench.records import Loss, Precision
from bench.records.recipe import Recipe
from bench.tasks.base import Task
from bench.training.options import CHECKPOINT_S
from bench.training.validation import Validation
from models import ReconstructionModel


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One training run: model, images and settings.

    Attributes:
        model: changed in place; ends with the weights that were chosen.
        task: measures the images, with its noise.
        images: the training split, at ``reading_shape``.
        image_shape: (H, W) in pixels of the images that are graded; the recipe says what a step sees of them.
        recipe: number of steps, rate and further settings.
        loss: ``final`` or ``aux``.
        seed: of image order, views and noise.
        validation: the data on which weights are chosen; needed where the recipe validates.
        precision: ``fp32`` or ``bf16``.
        checkpoint: file to resume from and to update, at most ``checkpoint_s`` seconds old.
        checkpoint_s: see there.
        workers: processes that read images ahead.
        fabric: where to train; the CPU where it is None.
    """

    model: ReconstructionModel
    task: Task
    images: ImageSplit[Any]
    image_shape: tuple[int, int]
    recipe: Recipe
    loss: Loss = "final"
    seed: int = 0
    validation: Validation | None = None
    precision: Precision = "fp32"
    checkpoint: Path | None = None
    checkpoint_s: float = CHECKPOINT_S
    workers: int = 0
    fabric: Fabric | None = None
