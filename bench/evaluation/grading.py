"""Grades reconstructions of held-out images: the same images and noise for every method."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.base import ImageSplit, LabelledImage, MeasuredImage
from bench.records import ImageScore
from bench.tasks.base import Task
from models import Luser, Reconstruction, ReconstructionModel
from operators import ForwardOperator

NOISE_SEED = 2_000_003
"""Held-out measurements have the same noise for every model, loss and seed."""

Acquired = tuple[LabelledImage, Tensor, Tensor, ForwardOperator]
"""An image, its truth (1, C, H, W), its measurements y, and their operator."""

MAIN_METRICS = ("psnr_db", "ssim")


class QualityError(ValueError):
    """An image whose quality is not finite; the message is one line that names it."""


class NotFiniteError(QualityError):
    """A reconstruction that holds values which are not finite numbers."""


@dataclass(frozen=True)
class Grades:
    """A model's results on held-out images.

    Attributes:
        items: one score per image.
        solver_steps: mean fixed-point steps per stage; empty without fixed points.
        warm_solver_steps: the same, with each solve started at the previous stage's fixed point; empty where that is
            impossible.
        residuals: mean relative residual per stage.
        example: the chosen image as the task displays it: start, reconstruction, truth.
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
    example: str | None = None,
) -> Grades:
    """Reconstruct and grade images, one at a time: no result depends on a batch.

    Args:
        model: on the operator's device.
        operator: A at the images' size.
        task: measures and grades.
        images: the held-out split.
        example: pattern of the name of the image to show, as in ``find_example``.

    Raises:
        QualityError: if an image has no finite quality.
        ValueError: if no image's name fits the pattern.
    """
    shown_at = find_example(images, example)
    device = next(model.parameters()).device
    acquired = simulated(task, operator, images, NOISE_SEED, device)
    return _grade(model, task, ((*one, operator) for one in acquired), shown_at)


@torch.no_grad()
def evaluate_measured(model: ReconstructionModel, task: Task, images: ImageSplit[Any]) -> Grades:
    """Reconstruct and grade a data set's own measurements, each with the operator that it was acquired by.

    Args:
        model: on the device where it is to run.
        task: one with ``measured``.
        images: opened by ``task.measured.load_split``.

    Raises:
        QualityError: if an image has no finite quality.
    """
    assert task.measured is not None
    device, acquire = next(model.parameters()).device, task.measured.acquire

    def acquired() -> Iterator[Acquired]:
        for index in range(len(images)):
            item = images[index]
            assert isinstance(item, MeasuredImage)
            operator, y = acquire(item, device)
            yield item, item.image[None].to(device), y, operator

    return _grade(model, task, acquired())


def _grade(model: ReconstructionModel, task: Task, acquired: Iterable[Acquired], shown_at: int = 0) -> Grades:
    model.eval()
    items: list[ImageScore] = []
    steps: list[list[float]] = []
    warm_steps: list[list[float]] = []
    residuals: list[list[float]] = []
    arrays: dict[str, NDArray[np.float32]] = {}
    for labelled, truth, y, operator in acquired:
        result = model(y, operator)
        shown = Shown(task, model.starting_image(y, operator), result.image, truth)
        if len(items) == shown_at:
            arrays = shown.arrays()
        found = [solve.forward.mean_residual for solve in result.solves]
        items.append(shown.grade(labelled).model_copy(update={"residual": max(found, default=None)}))
        steps.append(_solver_steps(result))
        warm_steps.append(_warm_solver_steps(model, y, operator))
        residuals.append(found)
    return Grades(tuple(items), _means(steps), _means(warm_steps), _means(residuals), arrays)


def simulated(
    task: Task, operator: ForwardOperator, images: ImageSplit[Any], seed: int, device: torch.device
) -> Iterator[tuple[LabelledImage, Tensor, Tensor]]:
    """Yield every image of a split with its truth, (1, C, H, W), and its measurements y.

    Args:
        task: measures.
        operator: A at the images' size.
        images: in their order, which the noise follows.
        seed: of the noise.
        device: the operator's; truth and measurements are there.
    """
    noise = torch.Generator().manual_seed(seed)
    for index in range(len(images)):
        labelled = images[index]
        truth = labelled.image[None].to(device)
        yield labelled, truth, task.measure(operator, truth, noise)


def find_example(images: ImageSplit[Any], pattern: str | None) -> int:
    """Return the position of the first image whose name fits a pattern, 0 without one.

    Call this before a long training, so that a wrong pattern fails at once.

    Args:
        images: a split; its images are read up to the one that fits.
        pattern: as in the shell, e.g. ``produce/*``; case matters.

    Raises:
        ValueError: if no image's name fits the pattern.
    """
    if pattern is None:
        return 0
    names = (images[index].name for index in range(len(images)))
    found = next((place for place, name in enumerate(names) if fnmatchcase(name, pattern)), None)
    if found is None:
        raise ValueError(f"no image to show: no name fits {pattern!r}, the first is {images[0].name!r}")
    return found


class Shown:
    """One image as its task displays it, (1 or 3, H, W) in [0, 1] on the CPU.

    Attributes:
        finite: whether the reconstruction is finite before it is displayed: clipping would make infinity white.

    Args:
        task: displays and grades.
        start: x_0, (1, C, H, W).
        reconstruction: of the same shape.
        truth: of the same shape.
    """

    def __init__(self, task: Task, start: Tensor, reconstruction: Tensor, truth: Tensor) -> None:
        self.task = task
        self.finite = bool(torch.isfinite(reconstruction).all())
        self.start, self.reconstruction, self.truth = (
            task.display(batch[0].float().cpu()) for batch in (start, reconstruction, truth)
        )

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return Figure 2's arrays, as ``ResultStore.add_example`` takes them."""
        return {"start": self.start.numpy(), "reconstruction": self.reconstruction.numpy(), "truth": self.truth.numpy()}

    def grade(self, labelled: LabelledImage) -> ImageScore:
        """Grade the start and the reconstruction by every convention of the task.

        Raises:
            NotFiniteError: if the reconstruction is not finite everywhere.
            QualityError: if a figure is not finite, as that of a start that equals the truth.
        """
        score = self.score(labelled)
        if not self.finite:
            raise NotFiniteError(f"image {score.name}: its reconstruction holds values that are not finite numbers")
        figures = score.model_dump(include={"start_psnr_db", "start_ssim", *MAIN_METRICS}) | score.more
        for name, figure in figures.items():
            if not math.isfinite(figure):
                raise QualityError(f"image {score.name}: {name} is {figure}, which no mean can hold")
        return score

    def score(self, labelled: LabelledImage) -> ImageScore:
        """Score like ``grade``, without its errors: the reconstruction's figures may be nan."""
        scores = {
            name: metric(self.reconstruction, self.truth) if self.finite else math.nan
            for name, metric in self.task.metrics.items()
        }
        start = {name: self.task.metrics[name](self.start, self.truth) for name in MAIN_METRICS}
        return ImageScore(
            name=labelled.name,
            group=labelled.group,
            start_psnr_db=start["psnr_db"],
            start_ssim=start["ssim"],
            psnr_db=scores.pop("psnr_db"),
            ssim=scores.pop("ssim"),
            more=scores,
        )


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


def _means(rows: list[list[float]]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.mean(rows, axis=0)) if rows and rows[0] else ()
