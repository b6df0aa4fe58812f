"""How fast the networks converge: training loss and validation PSNR, against step and against training time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bench.records.paper import Paper
from bench.report.drawing.style import colors, legend_below, logarithmic, quiet_axis
from bench.report.selection.accuracy import Study
from bench.report.selection.records import AccuracyEntry

CAPTION = (
    "Training with the final loss, one line per model and seed: the loss (running mean over 1/20 of the training) "
    "and the validation PSNR, against optimiser steps and against training time without validation. Hollow: the "
    "evaluated checkpoint. The axes cover every run up to its evaluated checkpoint; later divergence is cut off. The "
    "paper states that LUSER converges in fewer steps than LU-DnCNN and in about the same time (Sec. 4.2). Runs: those "
    "of Table 2."
)

Clock = Literal["step", "minutes"]
CLOCKS: dict[Clock, str] = {"step": "training step", "minutes": "minutes of training"}


@dataclass(frozen=True)
class Course:
    """One training run.

    Attributes:
        model: key in ``MODELS``.
        loss: smoothed, one per step; nan where steps were skipped.
        psnr_db: mean validation PSNR after each of ``points``.
        points: steps after which the network was validated.
        chosen: index into ``points`` of the evaluated checkpoint; None for the last weights.
        minutes: training time after every step, 0 first.
    """

    model: str
    loss: NDArray[np.float64]
    psnr_db: NDArray[np.float64]
    points: NDArray[np.intp]
    chosen: int | None
    minutes: NDArray[np.float64]

    @classmethod
    def of(cls, entry: AccuracyEntry) -> "Course | None":
        """Return a record's course; None where it has no loss or was never validated."""
        values = entry.values
        if values is None or not values.loss_trace or not values.validation_trace:
            return None
        trace = pd.Series(values.loss_trace, dtype=float)
        trace = trace.where(np.isfinite(trace) & (trace > 0))
        smooth = trace.rolling(max(1, len(trace) // 20), center=True, min_periods=1).mean()
        known = [(0, 0.0), *((point.step, point.train_s) for point in values.validation_trace)]
        known += [(len(trace), values.train_s)] if known[-1][0] < len(trace) else []
        # Seconds are known at validations; between them, steps count as equally long.
        seconds = np.interp(np.arange(len(trace) + 1), *np.array(known).T)
        points = np.array([point.step for point in values.validation_trace])
        places = np.flatnonzero(points == values.chosen_step)
        return cls(
            model=entry.spec.model,
            loss=smooth.to_numpy(),
            psnr_db=np.array([point.psnr_db for point in values.validation_trace]),
            points=points,
            chosen=int(places[0]) if len(places) else None,
            minutes=seconds / 60,
        )

    def at(self, steps: NDArray[np.intp], clock: Clock) -> NDArray[np.float64]:
        """Return when steps were done."""
        return steps.astype(float) if clock == "step" else self.minutes[steps]

    def graded(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``loss`` and ``psnr_db`` up to the evaluated checkpoint."""
        last = len(self.points) - 1 if self.chosen is None else self.chosen
        return self.loss[: self.points[last]], self.psnr_db[: last + 1]


def convergence_figure(study: Study, paper: Paper) -> Figure | None:
    """Draw one row per task, loss left and validation PSNR right; None where no run was validated.

    Args:
        study: the accuracy of one group of records.
        paper: names and order of tasks and models.
    """
    rows = {task: found for task in study.tasks(paper) if (found := courses(study, task))}
    if not rows:
        return None
    models = list(dict.fromkeys(model for model, _ in study.columns(paper)))
    shades = colors(models)
    figure = Figure(figsize=(11, 0.6 + 2.1 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for number, (line, (task, found)) in enumerate(zip(axes, rows.items(), strict=True), start=1):
        for place, (axis, quantity) in enumerate(zip(line, ("loss", "loss", "psnr", "psnr"), strict=True)):
            clock: Clock = "step" if place % 2 == 0 else "minutes"
            for course in found:
                _draw(axis, course, quantity, clock, shades[course.model])
            _tidy(axis, quantity, clock, last=number == len(rows))
        line[0].set_title(paper.task_title(task), loc="left")
        graded = [course.graded() for course in found]
        _limit(line[:2], [loss for loss, _ in graded])
        _limit(line[2:], [psnr_db for _, psnr_db in graded])
        for axis in line[1::2]:
            axis.tick_params(labelleft=False)
            axis.set_ylabel("")
    shown = [model for model in models if any(course.model == model for found in rows.values() for course in found)]
    handles = [Line2D([], [], color=shades[model], lw=2, label=paper.model_title(model)) for model in shown]
    legend_below(figure, handles)
    return figure


def courses(study: Study, task: str) -> list[Course]:
    """Return the runs of a task that were trained with the final loss and validated, seed after seed."""
    found = []
    for (of_task, _, loss), entries in study.cells.items():
        for entry in entries if (of_task, loss) == (task, "final") else ():
            course = Course.of(entry)
            found += [course] if course is not None else []
    return found


def _draw(axis: Axes, course: Course, quantity: str, clock: Clock, color: str) -> None:
    if quantity == "loss":
        steps = np.arange(1, len(course.loss) + 1)
        axis.plot(course.at(steps, clock), course.loss, color=color, lw=1.3)
        return
    x = course.at(course.points, clock)
    axis.plot(x, course.psnr_db, color=color, lw=1.3, marker=".", ms=3.5)
    if course.chosen is not None:
        axis.plot(x[course.chosen], course.psnr_db[course.chosen], marker="o", ms=5.5, mfc="white", mec=color, mew=1.3)


def _limit(axes: Iterable[Axes], held: list[NDArray[np.float64]]) -> None:
    """Set the axes' range from the given values only, with the usual margins."""
    values = np.concatenate(held)
    for axis in axes:
        axis.dataLim.intervaly = np.nanmin(values), np.nanmax(values)
        axis.autoscale_view(scalex=False)


def _tidy(axis: Axes, quantity: str, clock: Clock, *, last: bool) -> None:
    if quantity == "loss":
        logarithmic(axis)
    axis.set_ylabel("training loss" if quantity == "loss" else "validation PSNR, dB")
    axis.set_xlabel(CLOCKS[clock] if last else "")
    axis.set_xlim(left=0)
    quiet_axis(axis, grid="y")
