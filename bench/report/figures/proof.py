"""Predicted against published memory of real GPUs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.records import GIB
from bench.report.drawing.style import EMPHASIS, PALETTE, SOFT
from bench.report.selection.predictions import Prediction, judged_bytes, predictions
from bench.report.selection.records import ProofEntry

CAPTION = (
    "Predicted against measured peak memory of training runs on a real GPU (GPUMemNet, github.com/itu-rad/GPUMemNet: "
    "random multilayer perceptrons on an A100, memory of the whole device). Each prediction has one constant, the "
    "memory of a process beside its allocator, fitted to the first runs of the file, which are not shown. Triangles: "
    "predictions outside the axes."
)

MARGIN_GIB = 0.05
COLUMNS = 3


def proof_figure(entries: Sequence[ProofEntry]) -> Figure | None:
    """Draw predicted against measured memory, one panel per prediction; None where nothing was measured."""
    runs = [entry for entry in entries if entry.spec.source == "perceptrons"]
    values = [entry.values for entry in runs if entry.values and entry.values.measured_bytes]
    if not values:
        return None
    panels: dict[str, list[tuple[Prediction, NDArray[np.float64]]]] = {}
    for of_file in values:
        for prediction in predictions(of_file):
            panels.setdefault(prediction.title, []).append((prediction, judged_bytes(of_file) / GIB))
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(9.6, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    every = np.concatenate([measured for _, measured in next(iter(panels.values()))])
    ends = every.min() - MARGIN_GIB, every.max() + MARGIN_GIB
    axes[0, 0].set(xlim=ends, ylim=ends)
    for axis, found in zip(axes.flat, panels.values(), strict=False):
        _panel(axis, found, ends)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set_ylabel("predicted, GiB")
    return figure


def _panel(
    axis: Axes, found: Sequence[tuple[Prediction, NDArray[np.float64]]], ends: tuple[np.float64, np.float64]
) -> None:
    """Draw one prediction; values outside the measured range are hollow triangles on the edge."""
    axis.plot(ends, ends, color=EMPHASIS, lw=0.8, zorder=1)
    texts = []
    for prediction, measured in found:
        predicted = prediction.predicted_bytes / GIB
        above, below = predicted > ends[1], predicted < ends[0]
        inside = ~(above | below)
        axis.scatter(measured[inside], predicted[inside], s=7, color=PALETTE[0], alpha=0.35, lw=0, zorder=2)
        for outside, edge, marker in ((above, ends[1], "^"), (below, ends[0], "v")):
            level = np.full(outside.sum(), edge)
            axis.scatter(
                measured[outside],
                level,
                s=12,
                marker=marker,
                fc="none",
                ec=PALETTE[0],
                alpha=0.35,
                lw=0.5,
                clip_on=False,
            )
        texts.append(prediction.text.replace(", ", "\n"))  # thousands have no space behind their comma
        texts += [f"{100 * (1 - inside.mean()):.0f} % outside the axes"] * (not inside.all())
    axis.set_title(found[0][0].title, loc="left")
    axis.set_xlabel("measured, GiB")
    axis.tick_params(labelbottom=True, labelleft=True)
    box = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.5}
    axis.text(
        0.98, 0.04, "\n".join(texts), transform=axis.transAxes, ha="right", fontsize=7.5, color=SOFT, bbox=box, zorder=3
    )


def history_caption(entries: Sequence[ProofEntry]) -> str:
    """Say how many published histories replay exactly; '' where there are none."""
    rows = [row for entry in entries if entry.values for row in entry.values.histories]
    if not rows:
        return ""
    same = sum(row.replayed for row in rows)
    events, most = sum(row.events for row in rows), max(row.reserved_bytes for row in rows)
    return (
        f"{same} of {len(rows)} published allocator histories ({events:,} events, up to {most / GIB:.1f} GiB "
        "reserved) replay to the byte: every block gets its recorded address."
    )
