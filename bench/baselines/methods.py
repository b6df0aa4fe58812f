"""Methods without training: the registry, their grids of settings, and the choice of the best setting."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from bench.baselines.total_variation import total_variation
from bench.data.base import ImageSplit, LabelledImage
from bench.evaluation.grading import Shown, simulated
from bench.records import ImageScore, Setting, TuningPoint
from bench.tasks.base import Task
from models.base import starting_image
from operators import ForwardOperator, Radon
from operators.radon.filtered_backprojection import filtered_backprojection

CHUNK = 32
"""Images reconstructed at once; none depends on its batch-mates."""

QUARTERS = 4
LOWEST_POWER, HIGHEST_POWER = -24, 4


@dataclass(frozen=True)
class Reference:
    """A method without training.

    Attributes:
        reconstruct: (y, operator, setting) -> images (B, C, H, W).
        applies: whether it supports an operator.
        grid: the settings that are tried first.
        refine: all points so far -> the settings to try next, none of them tried before; none where the search ends.
    """

    reconstruct: Callable[[Tensor, Any, Mapping[str, Any]], Tensor]
    applies: Callable[[ForwardOperator], bool]
    grid: tuple[Setting, ...]
    refine: Callable[[Sequence[TuningPoint]], Sequence[Setting]] = lambda points: ()


def finer_weights(points: Sequence[TuningPoint]) -> tuple[Setting, ...]:
    """Close in on the best weight: a power of two times a quarter power in the end, better neighbours on neither side.

    First the best weight's neighbours at every second power of two, which lead beyond the edge of a grid, from 2^-24 to
    2^4, then those at whole, half and quarter powers.

    Args:
        points: what was tried; weights are quarter powers of two.

    Returns:
        Two settings at most; none where all neighbours of the best are known.
    """
    scores = {round(QUARTERS * math.log2(float(point.setting["weight"]))): point.psnr_db for point in points}
    best = max(scores, key=scores.__getitem__)
    for step in (2 * QUARTERS, QUARTERS, QUARTERS // 2, QUARTERS // 4):
        if best % step:  # found among its neighbours at a finer step: those at this one are farther away
            continue
        beside = [place for place in (best - step, best + step) if place not in scores]
        wanted = [place for place in beside if LOWEST_POWER * QUARTERS <= place <= HIGHEST_POWER * QUARTERS]
        if wanted:
            return tuple({"weight": 2.0 ** (place / QUARTERS)} for place in wanted)
    return ()


REFERENCES = {
    "fbp": Reference(
        reconstruct=lambda y, operator, setting: filtered_backprojection(y, operator, **setting),
        applies=lambda operator: isinstance(operator, Radon),
        grid=tuple(
            {"window": window, "cutoff": tenths / 10} for window, tenths in product(("ram-lak", "hann"), range(2, 11))
        ),
    ),
    "tv": Reference(
        reconstruct=lambda y, operator, setting: total_variation(y, operator, **setting),
        applies=lambda operator: operator.linear,
        grid=tuple({"weight": 2.0**power} for power in range(-12, -4, 2)),
        refine=finer_weights,
    ),
}
"""Key -> method. Zero filling, the usual reference of MRI, is the starting image of that task, A^H y."""


@dataclass(frozen=True)
class MeasuredSplit:
    """Images of a split with their measurements, all at once.

    Attributes:
        labelled: the images as read.
        truth: (N, C, H, W).
        y: (N, *operator.data_shape).
    """

    labelled: Sequence[LabelledImage]
    truth: Tensor
    y: Tensor

    @classmethod
    def of(
        cls, task: Task, operator: ForwardOperator, images: ImageSplit[Any], seed: int, device: torch.device
    ) -> "MeasuredSplit":
        """Measure a split as ``bench.evaluation.grading.simulated`` does."""
        labelled, truth, y = zip(*simulated(task, operator, images, seed, device), strict=True)
        return cls(labelled, torch.cat(truth), torch.cat(y))


@torch.no_grad()
def grade(
    method: Reference, setting: Setting, task: Task, operator: ForwardOperator, split: MeasuredSplit
) -> tuple[ImageScore, ...]:
    """Reconstruct a split with one setting and grade every image.

    Args:
        method: an entry of ``REFERENCES`` that applies to the operator.
        setting: of its grid, or finer.
        task: displays and grades.
        operator: A.
        split: what to reconstruct.

    Raises:
        QualityError: if an image has no finite quality.
    """
    items = []
    for first in range(0, len(split.y), CHUNK):
        chunk = slice(first, first + CHUNK)
        images = method.reconstruct(split.y[chunk], operator, setting)
        starts = starting_image(split.y[chunk], operator)
        for labelled, *one in zip(split.labelled[chunk], starts, images, split.truth[chunk], strict=True):
            start, image, truth = (tensor[None] for tensor in one)
            items.append(Shown(task, start, image, truth).grade(labelled))
    return tuple(items)


def tune(
    method: Reference,
    task: Task,
    operator: ForwardOperator,
    split: MeasuredSplit,
    on_point: Callable[[TuningPoint], None] = lambda point: None,
) -> tuple[Setting, tuple[TuningPoint, ...]]:
    """Try the whole grid on validation images, then the method's refinement around the best setting.

    Args:
        method: an entry of ``REFERENCES`` that applies to the operator.
        task: displays and grades.
        operator: A.
        split: validation images, never test images.
        on_point: told every setting's scores.

    Returns:
        The setting with the highest mean PSNR, the first among equals, and every setting's scores.
    """
    points = list[TuningPoint]()
    wanted: Sequence[Setting] = method.grid
    while wanted:
        for setting in wanted:
            items = grade(method, setting, task, operator, split)
            psnr_db, ssim = _mean(item.psnr_db for item in items), _mean(item.ssim for item in items)
            points.append(TuningPoint(setting=setting, psnr_db=psnr_db, ssim=ssim))
            on_point(points[-1])
        wanted = method.refine(points)
    return max(points, key=lambda point: point.psnr_db).setting, tuple(points)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
