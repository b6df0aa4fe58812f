"""Accuracy records grouped into studies: one scale, real or generated data, one setting a task."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.paper import Metric, Paper
from bench.recipe import Recipe
from bench.report.choice import AccuracyEntry, dominant
from bench.values import ImageScore

SCALES = ("quick", "small", "paper")
"""From the least to the most demanding; a scale of the user's own ranks below all."""

RESAMPLES = 2000

StartMetric = Literal["start_psnr_db", "start_ssim"]
CellKey = tuple[str, str, str]
"""Task, model and loss."""


@dataclass(frozen=True)
class Group:
    """What may share a table: one scale, and either real or generated images."""

    scale: str
    real: bool

    @property
    def name(self) -> str:
        """The group as a file name's ending."""
        safe = "".join(char if char.isalnum() else "-" for char in self.scale)
        return f"{safe}-{'real' if self.real else 'generated'}"

    @property
    def title(self) -> str:
        """The group in print."""
        return f"{self.scale} scale, {'real' if self.real else 'generated'} images"

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Sorts the headline group last: first by scale, then real images above generated ones."""
        return SCALES.index(self.scale) if self.scale in SCALES else -1, self.real, self.scale


@dataclass(frozen=True)
class Estimate:
    """A mean over held-out images with its 95 % interval; None where a single group gives no interval."""

    mean: float
    low: float | None
    high: float | None
    images: int
    groups: int


@dataclass(frozen=True)
class Study:
    """The accuracy of every (task, model, loss) of one group; entries of one cell differ in the seed."""

    group: Group
    cells: dict[CellKey, tuple[AccuracyEntry, ...]]
    left_out: int
    """Entries of the group that another setting of their task outvoted."""

    def tasks(self, paper: Paper) -> list[str]:
        """Return the paper's tasks, then the user's own."""
        return paper.in_order({task.key for task in paper.tasks} | {task for task, _, _ in self.cells})

    def columns(self, paper: Paper) -> list[tuple[str, str]]:
        """Return the paper's (model, loss) columns, then those that only we have, grouped by model."""
        known = list(paper.accuracy_columns)
        extra = {(model, loss) for _, model, loss in self.cells} - set(known)
        models = [model.key for model in paper.models]
        order = {model: place for place, model in enumerate(models)}
        return sorted([*known, *extra], key=lambda pair: (order.get(pair[0], len(order)), pair[0], pair[1] != "final"))

    def estimate(self, key: CellKey, metric: Metric | StartMetric) -> Estimate | None:
        """Return the mean of a metric over a cell's images and seeds; None where the cell has no values."""
        return estimate(scores_of(self.cells.get(key, ())), metric)

    def start(self, task: str, metric: Metric) -> Estimate | None:
        """Return the starting images' quality, which every cell of the task shares."""
        start: StartMetric = "start_psnr_db" if metric == "psnr_db" else "start_ssim"
        found = (self.estimate(key, start) for key in self.cells if key[0] == task)
        return next((value for value in found if value is not None), None)


def studies(entries: Iterable[AccuracyEntry]) -> list[Study]:
    """Group accuracy entries into studies, the headline study first.

    Args:
        entries: one environment a cell.
    """
    groups: dict[Group, list[AccuracyEntry]] = {}
    for entry in entries:
        groups.setdefault(Group(entry.spec.scale, entry.spec.data != "generated"), []).append(entry)
    ordered = sorted(groups, key=lambda group: group.rank, reverse=True)
    return [_study(group, groups[group]) for group in ordered]


def scores_of(entries: Iterable[AccuracyEntry]) -> list[ImageScore]:
    """Return every held-out image's scores, seed after seed."""
    return [item for entry in entries if entry.values for item in entry.values.items]


def estimate(items: list[ImageScore], metric: Metric | StartMetric | Literal["gain_db"]) -> Estimate | None:
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


def _study(group: Group, entries: list[AccuracyEntry]) -> Study:
    cells: dict[CellKey, tuple[AccuracyEntry, ...]] = {}
    for task in sorted({entry.spec.task for entry in entries}):
        candidates = [entry for entry in entries if entry.spec.task == task]
        graded_alike = dominant(candidates, _grading, lambda entry: (entry.spec.model, entry.spec.loss))
        for model, loss in sorted({(entry.spec.model, entry.spec.loss) for entry in graded_alike}):
            same = [entry for entry in graded_alike if (entry.spec.model, entry.spec.loss) == (model, loss)]
            trained_alike = dominant(same, _training, lambda entry: entry.spec.seed)
            cells[task, model, loss] = tuple(sorted(trained_alike, key=lambda entry: entry.spec.seed))
    return Study(group, cells, len(entries) - sum(map(len, cells.values())))


def _grading(entry: AccuracyEntry) -> tuple[str, tuple[int, int], int]:
    return entry.spec.data, entry.spec.image_shape, entry.spec.test_images


def _training(entry: AccuracyEntry) -> tuple[str, str, Recipe, int]:
    spec = entry.spec
    return spec.policy, spec.precision, spec.recipe, spec.train_images
