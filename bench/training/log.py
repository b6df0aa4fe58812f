"""The log of a training run, stored in its checkpoints."""

import math
from collections.abc import Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict

from bench.records import SolverPoint, ValidationPoint
from bench.training.step import StepReport
from models import Solve

TRACE_POINTS = 100
DIVERGED_SHARE = 0.1
LOST, LOST_STEPS = 1.0, 20
"""A mean squared error above 1 is worse than an empty image's, whose values would be wrong by at most 1."""


def falls_due(times: int, before: float, after: float) -> bool:
    """Whether an event that happens ``times`` times, evenly spread, is due between two shares of a run."""
    return int(times * after + 1e-9) > int(times * before + 1e-9)


class TrainingLog(BaseModel):
    """The course of a training run.

    Attributes:
        losses: training loss of every step, the mean over all processes; nan where it was not finite.
        skipped: steps whose loss or gradient was not finite; the weights did not move.
        diverged: whether the run ended because more than a tenth of the planned steps were skipped, or because
            ``LOST_STEPS`` losses in a row were above ``LOST``.
        solver_trace: solver statistics of up to 100 steps, on the first process's images.
        validation_trace: quality of the weights, as often as the recipe says.
        chosen_step: the step of the best weights; None without a choice.
        step_s: seconds of every step, waiting for images included.
        data_s: seconds of waiting for images.
        validation_s: seconds of validation.
    """

    # A skipped step's loss is nan, which JSON does not have.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    losses: list[float] = []
    skipped: int = 0
    diverged: bool = False
    solver_trace: list[SolverPoint] = []
    validation_trace: list[ValidationPoint] = []
    chosen_step: int | None = None
    step_s: list[float] = []
    data_s: float = 0.0
    validation_s: float = 0.0

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return len(self.losses)

    @property
    def train_s(self) -> float:
        """Seconds of training, without validation."""
        return sum(self.step_s)

    @property
    def median_step_s(self) -> float | None:
        """The median seconds of a step."""
        return median(self.step_s) if self.step_s else None

    @property
    def best_psnr_db(self) -> float:
        """The best finite figure of the validations so far; minus infinity before the first."""
        figures = (point.psnr_db for point in self.validation_trace)
        return max(filter(math.isfinite, figures), default=-math.inf)

    @property
    def lost(self) -> bool:
        """Whether the loss stays above ``LOST``; skipped steps count as such."""
        last = self.losses[-LOST_STEPS:]
        return len(last) == LOST_STEPS and not any(loss <= LOST for loss in last)

    @property
    def ending(self) -> str:
        """Why a run that has diverged ended."""
        if self.lost:
            return f"the loss of the last {LOST_STEPS} steps was above {LOST:g}; training ended at step {self.step}"
        return f"{self.skipped} of {self.step} steps were not finite; training ended there"

    def summary(self, done: float) -> str:
        """Summarise the run on one line, for a progress display.

        Args:
            done: share of the run that is done, above 0.
        """
        parts = [f"step {self.step}/{round(self.step / done)}", f"loss {self.losses[-1]:.5f}"]
        if self.validation_trace:
            parts.append(f"validation {self.validation_trace[-1].psnr_db:.2f} dB")
        if self.solver_trace:
            parts.append(f"residual {max(self.solver_trace[-1].forward_residuals):.0e}")
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        left_s = self.train_s * (1 - done) / done
        return ", ".join((*parts, f"{self.step / self.train_s:.2f} steps/s", f"{left_s / 60:.1f} min left"))

    def note(self, report: StepReport, seconds: float, waited_s: float) -> None:
        """Add a step's results, its duration and the time it waited for images."""
        self.losses.append(report.loss.item())
        self.skipped += not report.finite
        self.step_s.append(seconds)
        self.data_s += waited_s

    def trace(self, report: StepReport, before: float, after: float) -> None:
        """Store a step's solver statistics if they are due, and check whether the run has diverged.

        Args:
            report: of the step that was noted last.
            before: share of the run that was done before it.
            after: share that is done with it.
        """
        if report.solves and falls_due(TRACE_POINTS, before, after):
            self.solver_trace.append(_solver_point(self.step - 1, report.solves))
        self.diverged = self.skipped > DIVERGED_SHARE * self.step / after or self.lost


def _solver_point(step: int, solves: Sequence[Solve]) -> SolverPoint:
    backward = [solve.backward for solve in solves if solve.backward is not None]
    return SolverPoint(
        step=step,
        forward_steps=tuple(solve.forward.mean_steps for solve in solves),
        forward_residuals=tuple(solve.forward.mean_residual for solve in solves),
        backward_steps=tuple(stats.mean_steps for stats in backward),
        backward_residuals=tuple(stats.mean_residual for stats in backward),
    )
