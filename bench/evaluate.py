"""Grades a trained model on held-out images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import ImageSplit, LabelledImage
from bench.tasks.base import Task
from bench.values import ImageScore
from models import Luser, Reconstruction, ReconstructionModel
from models.base import starting_image
from operators import ForwardOperator

NOISE_SEED = 2_000_003
"""Held-out measurements have the same noise for every model, loss and seed."""


@dataclass(frozen=True)
class Grades:
    """What a model does on held-out images.

    Attributes:
        items: one score an image.
        solver_steps: mean fixed-point steps per stage; empty without fixed points.
        warm_solver_steps: the same, each solve started where the stage before ended; empty where that can't be.
        residuals: mean relative residual per stage.
        example: the first image as the task displays it: start, reconstruction, truth.
    """

    items: tuple[ImageScore, ...]
    solver_steps: tuple[float, ...]
    warm_solver_steps: tuple[float, ...]
    residuals: tuple[float, ...]
    example: dict[str, NDArray[np.float32]]


@torch.no_grad()
def evaluate(
    model: ReconstructionModel,
    operator: ForwardOperator,
    task: Task,
    images: ImageSplit[Any],
) -> Grades:
    """Reconstruct and grade images, one at a time: no result depends on a batch.

    Args:
        model: on the operator's device.
        operator: A at the images' size.
        task: measures and grades.
        images: the held-out split.
    """
    model.eval()
    device = next(model.parameters()).device
    noise = torch.Generator().manual_seed(NOISE_SEED)
    items: list[ImageScore] = []
    steps: list[list[float]] = []
    warm_steps: list[list[float]] = []
    residuals: list[list[float]] = []
    example: dict[str, NDArray[np.float32]] = {}
    for index in range(len(images)):
        labelled = images[index]
        truth = labelled.image[None].to(device)
        y = task.measure(operator, truth, noise)
        result = model(y, operator)
        shown = {
            "start": _shown(task, starting_image(y, operator)),
            "reconstruction": _shown(task, result.image),
            "truth": _shown(task, truth),
        }
        items.append(_score(task, labelled, shown))
        steps.append(_solver_steps(result))
        warm_steps.append(_warm_solver_steps(model, y, operator))
        residuals.append([solve.forward.mean_residual for solve in result.solves])
        example = example or {key: image.numpy() for key, image in shown.items()}
    return Grades(tuple(items), _means(steps), _means(warm_steps), _means(residuals), example)


def _solver_steps(result: Reconstruction) -> list[float]:
    return [solve.forward.mean_steps for solve in result.solves]


def _warm_solver_steps(model: ReconstructionModel, y: Tensor, operator: ForwardOperator) -> list[float]:
    """Reconstruct again, each stage's solve started at the r* of the stage before."""
    if not isinstance(model, Luser) or model.warm_start:
        return []
    model.warm_start = True
    try:
        return _solver_steps(model(y, operator))
    finally:
        model.warm_start = False


def _shown(task: Task, batch: Tensor) -> Tensor:
    return task.display(batch[0].float().cpu())


def _score(task: Task, labelled: LabelledImage, shown: dict[str, Tensor]) -> ImageScore:
    psnr, ssim = task.metrics["psnr_db"], task.metrics["ssim"]
    return ImageScore(
        name=labelled.name,
        group=labelled.group,
        start_psnr_db=psnr(shown["start"], shown["truth"]),
        start_ssim=ssim(shown["start"], shown["truth"]),
        psnr_db=psnr(shown["reconstruction"], shown["truth"]),
        ssim=ssim(shown["reconstruction"], shown["truth"]),
    )


def _means(rows: list[list[float]]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.mean(rows, axis=0)) if rows and rows[0] else ()
