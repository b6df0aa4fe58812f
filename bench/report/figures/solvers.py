"""Solver steps per stage, started at zero and from the previous stage's fixed point."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.records.paper import Paper
from bench.report.drawing.style import SOFT, colors, legend_below, quiet_axis
from bench.report.selection.accuracy import Study
from bench.report.selection.records import AccuracyEntry

NUDGE = 0.14
"""Sideways shift of each model, in stages, so that equal curves do not hide each other."""


def solver_figure(study: Study, paper: Paper) -> Figure | None:
    """Draw mean solver steps per stage on held-out images, one panel per task; None where there is no fixed point.

    Args:
        study: the accuracy of one group of records.
        paper: names and order of tasks and models.
    """
    models = list(dict.fromkeys(model for model, _ in study.columns(paper)))
    staged = [model for model in models if any(_curve(study, task, model) for task in study.tasks(paper))]
    tasks = [task for task in study.tasks(paper) if any(_curve(study, task, model) for model in staged)]
    if not tasks:
        return None
    figure = Figure(figsize=(0.9 + 2.5 * len(tasks), 3.0), layout="constrained")
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    shades = colors(models)
    for axis, task in zip(axes, tasks, strict=True):
        _panel(axis, study, task, staged, shades)
        axis.set_title(paper.task_title(task), loc="left")
        axis.set_xlabel("stage")
    axes[0].set_ylabel("solver steps")
    axes[0].set_ylim(bottom=0)
    handles = [Line2D([], [], color=shades[model], lw=2, label=paper.model_title(model)) for model in staged]
    handles.append(Line2D([], [], color=SOFT, marker="o", ms=4, label="started at zero"))
    handles.append(Line2D([], [], color=SOFT, marker="o", ms=4, mfc="white", ls="--", label="warm start"))
    legend_below(figure, handles)
    return figure


def _panel(axis: Axes, study: Study, task: str, models: Sequence[str], shades: dict[str, str]) -> None:
    for rank, model in enumerate(models):
        for warm, fill, style in ((False, shades[model], "-"), (True, "white", "--")):
            curve = _curve(study, task, model, warm=warm)
            stages = np.arange(1, len(curve) + 1) + NUDGE * (rank - (len(models) - 1) / 2)
            axis.plot(stages, curve, color=shades[model], marker="o", ms=4, lw=1.4, mfc=fill, ls=style)
    axis.set_xticks(range(1, 9))
    quiet_axis(axis, grid="y")


def _curve(study: Study, task: str, model: str, *, warm: bool = False) -> list[float]:
    """Return the steps of every stage, the mean over losses and seeds; empty for models of a single stage."""
    entries = [entry for key, cell in study.cells.items() if key[:2] == (task, model) for entry in cell]
    curves = [steps for entry in entries if len(steps := _steps(entry, warm)) > 1]
    return [float(mean) for mean in np.mean(curves, axis=0)] if curves else []


def _steps(entry: AccuracyEntry, warm: bool) -> tuple[float, ...]:
    if entry.values is None:
        return ()
    return entry.values.warm_solver_steps if warm else entry.values.solver_steps
