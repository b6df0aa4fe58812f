"""Means over held-out images, and differences of such means, with 95 % bootstrap intervals over groups of images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.records import ImageScore
from bench.records.paper import Metric

RESAMPLES = 2000

StartMetric = Literal["start_psnr_db", "start_ssim"]


@dataclass(frozen=True)
class Estimate:
    """A mean over held-out images with its 95 % interval; None where a single group gives no interval."""

    mean: float
    low: float | None
    high: float | None
    images: int
    groups: int


@dataclass(frozen=True)
class Difference:
    """By how much one cell's PSNR is above another's, image by image.

    Attributes:
        mean_db: over images, each averaged over its seeds.
        low_db: lower end of the 95 % interval; None where a single group gives none.
        high_db: upper end of it.
    """

    mean_db: float
    low_db: float | None
    high_db: float | None


def estimate(items: Sequence[ImageScore], metric: Metric | StartMetric | Literal["gain_db"]) -> Estimate | None:
    """Return a mean over images with a percentile bootstrap over groups (patients, volumes, files).

    Args:
        items: scores of held-out images; several seeds of the same images stay in their group.
        metric: a field of the scores, or 'gain_db', the PSNR gained over the starting image.
    """
    if not items:
        return None
    values = np.array([_value(item, metric) for item in items])
    names, places = np.unique([item.group for item in items], return_inverse=True)
    known = len(names) > 1 and bool(np.isfinite(values).all())
    low, high = _interval(values, places, len(names)) if known else (None, None)
    images = len({(item.group, item.name) for item in items})
    return Estimate(float(values.mean()), low, high, images, len(names))


def mean(items: Sequence[ImageScore], metric: Metric) -> float | None:
    """Return the mean of ``estimate`` without its interval, which takes longer."""
    return float(np.array([_value(item, metric) for item in items]).mean()) if items else None


def difference(first: Iterable[ImageScore], second: Iterable[ImageScore]) -> Difference | None:
    """Compare PSNR on the images that both were graded on, by a paired bootstrap over groups.

    Args:
        first: scores of any number of seeds.
        second: likewise, of the same images.

    Returns:
        None where they have no image in common.
    """
    left, right = _by_image(first), _by_image(second)
    shared = sorted(left.keys() & right.keys())
    values = np.array([left[image] - right[image] for image in shared])
    if not shared or not np.isfinite(values).all():
        return None
    names, places = np.unique([group for group, _ in shared], return_inverse=True)
    low, high = _interval(values, places, len(names)) if len(names) > 1 else (None, None)
    return Difference(float(values.mean()), low, high)


def _by_image(items: Iterable[ImageScore]) -> dict[tuple[str, str], float]:
    """Return every image's PSNR, averaged over seeds."""
    scores: dict[tuple[str, str], list[float]] = {}
    for item in items:
        scores.setdefault((item.group, item.name), []).append(item.psnr_db)
    return {image: float(np.mean(values)) for image, values in scores.items()}


def _value(item: ImageScore, metric: Metric | StartMetric | Literal["gain_db"]) -> float:
    if metric == "gain_db":
        return item.psnr_db - item.start_psnr_db
    return float(getattr(item, metric))


def _interval(values: NDArray[np.float64], places: NDArray[np.intp], count: int) -> tuple[float, float]:
    """Resample whole groups: images of one patient or volume are not independent."""
    sums = np.bincount(places, weights=values, minlength=count)
    sizes = np.bincount(places, minlength=count)
    generator = np.random.default_rng(0)
    at_once = max(1, 200_000 // count)  # bounds the memory that thousands of groups would take
    means = []
    for first in range(0, RESAMPLES, at_once):
        drawn = generator.integers(count, size=(min(at_once, RESAMPLES - first), count))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
