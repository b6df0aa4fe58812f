"""Memory in use over one training step, stacked by layer, under the cap."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.records import GIB
from bench.report.drawing.style import BAND, EMPHASIS, INK, SOFT, quiet_axis

# Darker for what is always there, then Okabe and Ito's colours for layers, grey for what no layer owns.
FIXED = {
    "CUDA context": "#3d3d3d",
    "weights": "#5c6b7a",
    "optimiser": "#8494a3",
    "images and measurements": "#b3bec8",
}
LAYERS = ("#0072B2", "#56B4E9", "#009E73", "#9A8500", "#E69F00", "#D55E00", "#CC79A7", "#7A5195")
LAST = {"outside layers": "#c9c2a5", "workspaces": "#9e9e9e", "rounding, free blocks": "#e4e4e4"}


@dataclass(frozen=True)
class Timeline:
    """One training step of a simulation, event by event.

    Attributes:
        title: model, task, batch.
        layers: name -> bytes after every event, bottom first; all of one length.
        phases: (name, first event) in order.
        cap_bytes: the line.
    """

    title: str
    layers: dict[str, NDArray[np.int64]]
    phases: tuple[tuple[str, int], ...]
    cap_bytes: int


def timeline_figure(timeline: Timeline) -> Figure:
    """Draw a timeline: bytes held by the process, by use, after every allocation and release."""
    figure = Figure(figsize=(9.2, 4.3), layout="constrained")
    axis = figure.subplots()
    names = list(timeline.layers)
    stack = np.stack([timeline.layers[name] for name in names]) / GIB
    events = np.arange(stack.shape[1])
    axis.stackplot(events, stack, step="post", colors=_shades(names), labels=names, lw=0)
    total, top = stack.sum(axis=0), timeline.cap_bytes / GIB
    axis.axhline(top, color=EMPHASIS, lw=1.4)
    peak = int(total.argmax())
    axis.set_ylim(0, 1.12 * max(top, float(total.max())))
    axis.set_xlim(0, len(events) - 1)
    axis.annotate(f"cap {top:g} GiB", (0.995, top), (0, 3), color=EMPHASIS, ha="right", **_anchored(axis))
    axis.plot([peak], [total[peak]], "o", ms=4, mfc="white", mec=INK)
    side = "right" if peak > len(events) / 2 else "left"
    axis.annotate(
        f"peak {total[peak]:.2f} GiB",
        (peak, float(total[peak])),
        (-6 if side == "right" else 6, 4),
        textcoords="offset points",
        ha=side,
        fontsize=8,
    )
    _mark_phases(axis, timeline, len(events))
    axis.set_ylabel("GiB held by the process")
    axis.set_xlabel("allocations and releases of one training step, in order")
    axis.set_title(timeline.title, loc="left", pad=18)
    quiet_axis(axis, grid="y")
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center")
    return figure


def _anchored(axis: Axes) -> dict[str, Any]:
    return {
        "xycoords": axis.get_yaxis_transform(),
        "textcoords": "offset points",
        "fontsize": 8,
    }


def _mark_phases(axis: Axes, timeline: Timeline, end: int) -> None:
    starts = [start for _, start in timeline.phases] + [end]
    for place, (name, start) in enumerate(timeline.phases):
        if place:
            axis.axvline(start, color=SOFT, lw=0.8, ls=":")
        if place % 2 == 0:
            axis.axvspan(start, starts[place + 1], color=BAND, lw=0, zorder=0)
        wide = starts[place + 1] - start > 0.06 * end
        axis.annotate(
            name,
            (start, 1.0),
            (3 if wide else -3, 3),
            xycoords=axis.get_xaxis_transform(),
            textcoords="offset points",
            ha="left" if wide else "center",
            color=SOFT,
            fontsize=8,
        )


def _shades(names: list[str]) -> list[str]:
    layers = [name for name in names if name not in FIXED and name not in LAST]
    shades = FIXED | LAST | {name: LAYERS[place % len(LAYERS)] for place, name in enumerate(layers)}
    return [shades[name] for name in names]
