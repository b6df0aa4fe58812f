"""A contact sheet of a data set: images of every split, and a histogram of their values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.data.audits.base import SPLITS
from bench.data.base import ImageSplit, Split, source_label
from bench.report.drawing.style import GRID, INK, PALETTE, SOFT, STYLE
from bench.tasks.base import Task

COLUMNS = 6
SHEET_DPI = 200
WIDTH, GAP, LEFT, TOP, BELOW, MARGIN, HISTOGRAM, RIGHT = 1.3, 0.06, 0.34, 0.62, 0.3, 0.46, 1.45, 0.16
"""In inches: an image's width, the space beside it, for the split's name, the title, an image's name; the space
before the histogram, the histogram, and what is after it."""

NAME_CHARACTERS = 29
BINS = 64
BRIGHT = 0.998
"""The quantile that grey images show as white: a little metal or fat would leave the rest in the dark."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One split: its name, how many images it has, and some of them as the task displays them, (1 or 3, H, W)."""

    split: Split
    total: int
    images: tuple[Image, ...]
    names: tuple[str, ...]


def draw_sheet(task: Task, source: Path | None, output: Path) -> None:
    """Draw six images of every split at the paper's size, and a histogram of their values.

    Args:
        task: opens and displays the images.
        source: their folder; None for the generated ones.
        output: the PNG file.

    Raises:
        DataError: if the folder or an image that is drawn cannot be used.
        OSError: if the file cannot be written.
    """
    rows = [_row(task, source, split) for split in SPLITS]
    height, width = task.image_shape
    brightness = "" if task.channels == 3 else f"; white is the {BRIGHT:.1%} quantile of each image"
    title = f"{task.title}: {source_label(source)}"
    with style.context(["default", STYLE]):
        figure = _figure(rows, title, f"{height} x {width} pixels, spread evenly over each split{brightness}")
        figure.savefig(output, dpi=SHEET_DPI, metadata={"Software": None})


def _row(task: Task, source: Path | None, split: Split) -> Row:
    """Read a few images; a split as large as can be asked for tells how many there are."""
    everything: ImageSplit[Any] | None = None
    if source is not None:
        everything = task.load_split(source, split, image_shape=task.image_shape, count=10**9, seed=0)
    chosen = task.load_split(source, split, image_shape=task.image_shape, count=COLUMNS, seed=0)
    items = [chosen[position] for position in range(len(chosen))]
    return Row(
        split=split,
        total=0 if everything is None else len(everything),
        images=tuple(task.display(item.image).numpy() for item in items),
        names=tuple(item.name for item in items),
    )


def _figure(rows: list[Row], title: str, subtitle: str) -> Figure:
    aspect = rows[0].images[0].shape[1] / rows[0].images[0].shape[2]
    step = WIDTH * aspect + BELOW
    across = LEFT + COLUMNS * (WIDTH + GAP) + MARGIN + HISTOGRAM + RIGHT
    down = TOP + len(rows) * step
    figure = Figure(figsize=(across, down))
    figure.text(LEFT / across, 1 - 0.2 / down, title, fontsize=11, weight="bold", color=INK, va="center")
    figure.text(LEFT / across, 1 - 0.41 / down, subtitle, fontsize=8, color=SOFT, va="center")
    for place, row in enumerate(rows):
        y = down - TOP - place * step - WIDTH * aspect
        box = (WIDTH / across, WIDTH * aspect / down)
        label = f"{row.split}, {row.total:,}" if row.total else row.split
        figure.text(
            LEFT / 2 / across, y / down + box[1] / 2, label, rotation=90, ha="center", va="center", weight="bold"
        )
        for column, (image, name) in enumerate(zip(row.images, row.names, strict=True)):
            x = LEFT + column * (WIDTH + GAP)
            _show(figure.add_axes((x / across, y / down, *box)), image, name)
        x = LEFT + COLUMNS * (WIDTH + GAP) + MARGIN
        _histogram(figure.add_axes((x / across, y / down, HISTOGRAM / across, box[1])), row, place == 0)
    return figure


def _show(axis: Axes, image: Image, name: str) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if image.shape[0] == 3:
        axis.imshow(image.transpose(1, 2, 0))
    else:
        axis.imshow(image[0], cmap="gray", vmin=0, vmax=max(float(np.quantile(image, BRIGHT)), 1e-6))
    short = name if len(name) <= NAME_CHARACTERS else f"...{name[3 - NAME_CHARACTERS :]}"
    axis.set_xlabel(short, fontsize=5.5, color=SOFT, labelpad=3)


def _histogram(axis: Axes, row: Row, first: bool) -> None:
    """Draw the share of pixels at each value; a colour for each channel of a photograph."""
    colors = (PALETTE[3], PALETTE[2], PALETTE[0]) if row.images[0].shape[0] == 3 else (SOFT,)
    for channel, color in enumerate(colors):
        values = np.concatenate([image[channel].ravel() for image in row.images])
        counts, edges = np.histogram(values, bins=BINS, range=(0, 1))
        axis.stairs(np.maximum(counts / values.size, 1e-7), edges, color=color, linewidth=1.0, baseline=None)
    axis.set(xlim=(0, 1), ylim=(1e-5, 1), yscale="log", xticks=[0, 0.5, 1], yticks=[1e-4, 1e-2, 1])
    axis.set_xticklabels(["0", "0.5", "1"])
    axis.set_yticklabels(["0.01 %", "1 %", "100 %"])
    axis.minorticks_off()
    axis.tick_params(length=0, labelsize=6.5)
    axis.spines["left"].set_color(GRID)
    if first:
        axis.set_title("share of pixels by value", fontsize=7.5, fontweight="normal", color=SOFT, pad=5)
