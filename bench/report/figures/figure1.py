"""Training loss, and PSNR gain on held-out images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.evaluation.bootstrap import Estimate, estimate
from bench.records.paper import Paper
from bench.report.drawing.style import SOFT, colors, legend_below, logarithmic, quiet_axis
from bench.report.selection.accuracy import Study, scores_of

LOSS_TITLES = {"final": "final loss", "aux": "auxiliary loss"}


def training_figure(study: Study, paper: Paper) -> Figure | None:
    """Draw the training loss of every task and loss, one line per model and seed; None where there is none.

    Args:
        study: the accuracy of one group of records.
        paper: names and order of tasks and models.
    """
    data = _losses(study)
    if data.empty:
        return None
    tasks = [task for task in study.tasks(paper) if (data["task"] == task).any()]
    losses = [loss for loss in ("final", "aux") if (data["loss"] == loss).any()]
    models = list(dict.fromkeys(model for model, _ in study.columns(paper)))
    handles = [Line2D([], [], color=colors(models)[name], lw=2, label=paper.model_title(name)) for name in models]
    figure = Figure(figsize=(0.8 + 2.7 * len(tasks), 0.7 + 2.3 * len(losses)), layout="constrained")
    axes = figure.subplots(len(losses), len(tasks), squeeze=False)
    for line, loss in zip(axes, losses, strict=True):
        for axis, task in zip(line, tasks, strict=True):
            _training_panel(axis, data[(data["task"] == task) & (data["loss"] == loss)], colors(models))
            axis.set_title(paper.task_title(task) if loss == losses[0] else "", loc="left")
            axis.set_xlabel("training step" if loss == losses[-1] else "")
        line[0].set_ylabel(LOSS_TITLES[loss])
    legend_below(figure, handles)
    return figure


def _losses(study: Study) -> pd.DataFrame:
    """Return every training step's loss, and its running mean over a fortieth of the training."""
    frames = []
    for (task, model, loss), entries in study.cells.items():
        for entry in entries:
            trace = pd.Series(entry.values.loss_trace if entry.values else (), dtype=float)
            trace = trace.where(np.isfinite(trace) & (trace > 0))  # skipped steps leave gaps
            frame = pd.DataFrame({"step": trace.index + 1, "raw": trace})
            frame["smooth"] = trace.rolling(max(1, len(trace) // 40), center=True, min_periods=1).mean()
            frames.append(frame.assign(task=task, model=model, loss=loss, seed=entry.spec.seed))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _training_panel(axis: Axes, data: pd.DataFrame, shades: dict[str, str]) -> None:
    logarithmic(axis)
    for column, width, strength in (("raw", 0.6, 0.25), ("smooth", 1.5, 1.0)):
        for (model, _), one in data.groupby(["model", "seed"], sort=True):
            # Not by seaborn, which takes seventy times as long for a line.
            axis.plot(one["step"], one[column], color=shades[str(model)], lw=width, alpha=strength)
    axis.set(xlabel="", ylabel="")
    quiet_axis(axis, grid="y")


def gain_figure(study: Study, paper: Paper) -> Figure | None:
    """Draw every model's PSNR gain over the starting image, with 95 % intervals; None without scores.

    Args:
        study: the accuracy of one group of records.
        paper: names and order of tasks and models.
    """
    columns = study.columns(paper)
    gains = {key: estimate(scores_of(entries), "gain_db") for key, entries in study.cells.items()}
    tasks = [task for task in study.tasks(paper) if any(gains.get((task, *column)) for column in columns)]
    if not tasks:
        return None
    figure = Figure(figsize=(1.9 + 2.4 * len(tasks), 0.9 + 0.3 * len(columns)), layout="constrained")
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axis, task in zip(axes, tasks, strict=True):
        _gain_panel(axis, [gains.get((task, *column)) for column in columns], columns)
        axis.set_title(paper.task_title(task), loc="left")
    names = [f"{paper.model_title(model)}, {loss}" for model, loss in columns]
    axes[0].set_yticks(range(len(columns)), names)
    axes[0].set_ylim(len(columns) - 0.4, -0.6)
    figure.supxlabel("PSNR gain over the starting image, dB", fontsize=9)
    return figure


def _gain_panel(axis: Axes, gains: Sequence[Estimate | None], columns: Sequence[tuple[str, str]]) -> None:
    shades = colors(list(dict.fromkeys(model for model, _ in columns)))
    for place, (gain, (model, loss)) in enumerate(zip(gains, columns, strict=True)):
        if gain is None or not np.isfinite(gain.mean):
            continue
        if gain.low is not None and gain.high is not None:
            axis.plot([gain.low, gain.high], [place, place], color=shades[model], lw=2, solid_capstyle="butt")
        fill = shades[model] if loss == "final" else "white"
        axis.plot([gain.mean], [place], marker="o", ms=5.5, mfc=fill, mec=shades[model], mew=1.4)
    axis.axvline(0, color=SOFT, lw=0.8)
    quiet_axis(axis, grid="x")
