"""Figure 2: a held-out image of every task, with red boxes where LUSER-DW improves most on LU-DnCNN."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from bench.records.examples import EXAMPLE_KEYS
from bench.records.paper import Paper
from bench.records.store import ResultStore, StoreError
from bench.report.drawing.style import EMPHASIS, INK, SOFT
from bench.report.selection.accuracy import Study

COLUMNS = ("lu-dncnn", "deq4ip", "luser-dw")
"""The paper's middle columns; the boxes compare the last with the first."""

CAPTION = (
    "One held-out image per task, with its PSNR in dB and SSIM. Red box, enlarged in a corner: the square (a quarter "
    "of the shorter side) with the largest mean of LU-DnCNN's minus LUSER-DW's squared error, smoothed by a Gaussian "
    "of 1/16 of that side. No box: no square improves."
)

WIDTH, GAP, LEFT, TOP, BELOW = 1.8, 0.07, 0.38, 0.32, 0.27
"""In inches: width of an image, gap beside it, room for the row's name, the column's name and the scores."""

CREDIT_SIZE, CREDIT_LINE = 6.0, 0.115
"""Credits: type size in points and line height in inches."""

ZOOM = 0.42
"""Share of an image's side that the enlarged box takes, less where it would cover the box."""

LONGEST_SIDE = 8
"""Sides of an image may differ by this factor; a longer strip has no place on a page."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A square of an image in pixels."""

    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Example:
    """One task's row: the images that all models share, and one reconstruction per model."""

    task: str
    start: Image
    truth: Image
    reconstructions: dict[str, Image]

    @property
    def box(self) -> Box | None:
        """Where LUSER-DW's error is most below LU-DnCNN's; None where there is no such place."""
        worse, better = (self.reconstructions.get(COLUMNS[place]) for place in (0, -1))
        return None if worse is None or better is None else most_improved(worse, better, self.truth)


def most_improved(worse: Image, better: Image, truth: Image) -> Box | None:
    """Find the square, a quarter of the shorter side wide, with the largest mean of the smoothed error reduction.

    The reduction of the squared error is smoothed by a Gaussian of a quarter of the square's side, beyond the border
    zero: a few pixels that one network happens to hit weigh less than a structure that it recovers.

    Args:
        worse: (C, H, W) image to compare with.
        better: (C, H, W) image that may improve on it.
        truth: (C, H, W) what both should be.

    Returns:
        The square, the first in reading order among equals; None where no square improves.
    """
    gain = ((worse - truth).astype(np.float64) ** 2 - (better - truth).astype(np.float64) ** 2).sum(axis=0)
    side = max(2, round(min(gain.shape) / 4))
    if min(gain.shape) < side:
        return None
    smooth = gaussian_filter(gain, side / 4, mode="constant")
    sums = sliding_window_view(sliding_window_view(smooth, side, axis=0).sum(axis=-1), side, axis=1).sum(axis=-1)
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return Box(int(top), int(left), side) if sums[top, left] > 0 else None


def psnr_db(image: Image, truth: Image) -> float:
    """Return the PSNR of displayed images in [0, 1], infinite for equal ones."""
    error = float(np.mean((image - truth).astype(np.float64) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(image: Image, truth: Image) -> float:
    """Return the SSIM of displayed images in [0, 1], as ``bench.tasks.metrics`` does."""
    window = min(7, *truth.shape[1:])
    return float(structural_similarity(truth, image, win_size=window - 1 + window % 2, data_range=1.0, channel_axis=0))


def examples(study: Study, paper: Paper, store: ResultStore) -> list[Example]:
    """Read every task's example images, those that were trained with the final loss where there are such.

    Args:
        study: the accuracy of one group of records.
        paper: order of the tasks.
        store: the results folder; files of images that are missing or broken are told and skipped.
    """
    rows = []
    for task in study.tasks(paper):
        own = {model for _, model, _ in study.cells} - {model.key for model in paper.models}
        models = (*COLUMNS, *sorted(own))
        images = {model: found for model in models if (found := _example(study, store, task, model))}
        if not images:
            continue
        shared = images.get(COLUMNS[-1]) or next(iter(images.values()))
        # Another truth means another image: side by side they would compare nothing.
        alike = {m: i["reconstruction"] for m, i in images.items() if np.array_equal(i["truth"], shared["truth"])}
        rows.append(Example(task, shared["start"], shared["truth"], alike))
    return rows


def reconstruction_figure(rows: list[Example], paper: Paper, credits: Sequence[str] = ()) -> Figure:
    """Draw Figure 2: start, reconstructions and truth of every task, the box enlarged in a corner.

    Args:
        rows: at least one task's images.
        paper: names of tasks and models.
        credits: whom to credit for the images, printed below them.
    """
    models = shown_models(rows)
    titles = ["Start", *(paper.model_title(model) for model in models), "Truth"]
    heights = [WIDTH * row.truth.shape[1] / row.truth.shape[2] for row in rows]
    across = LEFT + len(titles) * (WIDTH + GAP)
    lines = [line for credit in credits for line in textwrap.wrap(credit, round(19 * across), subsequent_indent="  ")]
    down = TOP + sum(height + BELOW for height in heights) + (CREDIT_LINE * (len(lines) + 1) if lines else 0)
    figure = Figure(figsize=(across, down))
    if lines:
        figure.text(
            LEFT / across, 0.5 * CREDIT_LINE / down, "\n".join(lines), size=CREDIT_SIZE, color=SOFT, va="bottom"
        )
    y = down - TOP
    for row, height in zip(rows, heights, strict=True):
        y -= height
        label_y = (y + height / 2) / down
        label = paper.task_title(row.task)
        figure.text(LEFT / 2 / across, label_y, label, rotation=90, ha="center", va="center", weight="bold")
        images = [row.start, *(row.reconstructions.get(model) for model in models), row.truth]
        for place, (title, image) in enumerate(zip(titles, images, strict=True)):
            x = LEFT + place * (WIDTH + GAP)
            axis = figure.add_axes((x / across, y / down, WIDTH / across, height / down))
            _panel(axis, row, image)
            axis.set_title(title if row is rows[0] else "", fontsize=10, fontweight="normal", pad=5)
        y -= BELOW
    return figure


def shown_models(rows: list[Example]) -> list[str]:
    """Return the paper's columns, then the user's own models that have images."""
    own = {model for row in rows for model in row.reconstructions} - set(COLUMNS)
    return [*COLUMNS, *sorted(own)]


def _panel(axis: Axes, row: Example, image: Image | None) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if image is None:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center", color=SOFT)
        return
    _show(axis, image, row.truth)
    scores = f"{psnr_db(image, row.truth):.2f}, {ssim(image, row.truth):.3f}"
    below = "PSNR, SSIM" if image is row.truth else scores
    axis.set_xlabel(below, fontsize=9, color=SOFT if image is row.truth else INK, labelpad=3)
    if row.box is not None:
        _emphasise(axis, image, row.truth, row.box)


def _show(axis: Axes, image: Image, truth: Image) -> None:
    """Show every image of a row in the truth's range: most medical images leave the upper part empty."""
    if image.shape[0] == 3:
        axis.imshow(np.clip(image.transpose(1, 2, 0), 0, 1), interpolation="nearest")
    else:
        top = max(float(truth.max()), 1e-6)
        axis.imshow(image[0], cmap="gray", vmin=0, vmax=top, interpolation="nearest")


def _emphasise(axis: Axes, image: Image, truth: Image, box: Box) -> None:
    height, width = image.shape[1:]
    corner = (box.left - 0.5, box.top - 0.5)
    axis.add_patch(Rectangle(corner, box.side, box.side, fill=False, ec=EMPHASIS, lw=1.3))
    # The corner across from the box, so that the enlargement never hides what it enlarges.
    right, low = box.left + box.side / 2 < width / 2, box.top + box.side / 2 < height / 2
    beside = width - box.left - box.side if right else box.left
    above = height - box.top - box.side if low else box.top
    zoomed = min(ZOOM * min(height, width), max(beside, above) - 1)
    size = (zoomed / width, zoomed / height)
    inset = axis.inset_axes((1 - size[0] if right else 0.0, 0.0 if low else 1 - size[1], *size))
    inset.grid(False)
    inset.set(xticks=[], yticks=[])
    rows, columns = slice(box.top, box.top + box.side), slice(box.left, box.left + box.side)
    _show(inset, image[:, rows, columns], truth)
    for spine in inset.spines.values():
        spine.set(visible=True, color=EMPHASIS, linewidth=1.3)


def _example(study: Study, store: ResultStore, task: str, model: str) -> dict[str, Image] | None:
    for loss in ("final", "aux"):
        for entry in study.cells.get((task, model, loss), ()):
            if entry.values is not None and entry.values.example is not None:
                try:
                    return _read(store, entry.values.example)
                except StoreError as error:
                    store.skips.skip(error)
    return None


def _read(store: ResultStore, relative: str) -> dict[str, Image]:
    images = store.example(relative)
    shapes = {images[key].shape for key in EXAMPLE_KEYS}
    shape = next(iter(shapes))
    if len(shapes) != 1 or shape[0] not in (1, 3):
        raise StoreError(f"{store.root / relative}: example images need one shape, (1 or 3, H, W)")
    if max(shape[1:]) > LONGEST_SIDE * min(shape[1:]):
        raise StoreError(f"{store.root / relative}: example images of {shape[1:]} pixels are too long to draw")
    return images
