"""Memory that others measured on real GPUs, and what the simulator, fake tensors and a constant alone say of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.choice import ProofEntry
from bench.report.style import EMPHASIS, PALETTE, SOFT
from bench.sizes import GIB, MIB
from bench.values import ProofValues

CAPTION = (
    "Peak memory of training runs on a real GPU, measured by others (GPUMemNet, github.com/itu-rad/GPUMemNet: random "
    "multilayer perceptrons on an A100, the whole device's memory), against three predictions. Each has one constant, "
    "fitted to the first runs of the file, which are not shown: what a process takes beside its allocator."
)

MARGIN_GIB = 0.05


@dataclass(frozen=True)
class Prediction:
    """One way to foretell the runs' memory.

    Attributes:
        title: in print.
        predicted_bytes: of every run that nothing was fitted to.
        error_bytes: absolute, of the same runs.
    """

    title: str
    predicted_bytes: NDArray[np.float64]
    error_bytes: NDArray[np.float64]

    @property
    def text(self) -> str:
        """Its median error, and what 99 % of the errors stay below."""
        median, high = np.quantile(self.error_bytes, [0.5, 0.99]) / MIB
        return f"median error {median:,.0f} MiB, 99 % within {high:,.0f} MiB"


def predictions(values: ProofValues) -> list[Prediction]:
    """Return the simulator's predictions, those of fake tensors without an allocator, and a constant alone."""
    measured = np.array(values.measured_bytes, dtype=np.float64)
    fitted = values.fitted_runs if len(measured) > values.fitted_runs else 0
    found = []
    for title, parts in (
        ("Simulated allocator", values.reserved_bytes),
        ("Fake tensors alone", values.requested_bytes),
        ("A constant alone", (0,) * len(measured)),
    ):
        part = np.array(parts, dtype=np.float64)
        constant = np.median((measured - part)[: values.fitted_runs])
        predicted = (part + constant)[fitted:]
        found.append(Prediction(title, predicted, np.abs(predicted - measured[fitted:])))
    return found


def proof_figure(entries: Sequence[ProofEntry]) -> Figure | None:
    """Draw predicted against measured memory, a panel a prediction; None where nothing was measured."""
    values = [entry.values for entry in entries if entry.values and entry.values.measured_bytes]
    if not values:
        return None
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    for place, axis in enumerate(axes):
        for of_file in values:
            fitted = of_file.fitted_runs if len(of_file.measured_bytes) > of_file.fitted_runs else 0
            measured = np.array(of_file.measured_bytes[fitted:]) / GIB
            prediction = predictions(of_file)[place]
            _panel(axis, measured, prediction)
    axes[0].set_ylabel("predicted, GiB")
    return figure


def _panel(axis: Axes, measured: NDArray[np.float64], prediction: Prediction) -> None:
    ends = measured.min() - MARGIN_GIB, measured.max() + MARGIN_GIB
    axis.plot(ends, ends, color=EMPHASIS, lw=0.8, zorder=1)
    axis.scatter(measured, prediction.predicted_bytes / GIB, s=7, color=PALETTE[0], alpha=0.35, lw=0, zorder=2)
    axis.set_title(prediction.title, loc="left")
    axis.set_xlabel("measured, GiB")
    axis.text(0.98, 0.04, prediction.text, transform=axis.transAxes, ha="right", fontsize=7.5, color=SOFT)


def history_caption(entries: Sequence[ProofEntry]) -> str:
    """Say how many published histories replay; empty where there are none."""
    rows = [row for entry in entries if entry.values for row in entry.values.histories]
    if not rows:
        return ""
    same = sum(row.replayed for row in rows)
    events, most = sum(row.events for row in rows), max(row.reserved_bytes for row in rows)
    return (
        f"Of {len(rows)} published histories of real allocators ({events:,} events, up to {most / GIB:.1f} GiB "
        f"reserved), {same} replay to the byte: every block comes to lie where it lay."
    )
