"""Answers of measurements, one class per kind of question; names end in units. Never imports torch."""

from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from bench.records.frozen import Frozen
from bench.records.proof_answer import CheckValues, ProofValues
from bench.records.race_answer import OperatorsValues, SolversValues, SpeedValues


class Probe(Frozen):
    """One batch tried under a cap; bytes are peaks, and those of a step without a cap where it does not fit."""

    batch: int
    peak_bytes: int = Field(description="of the process: reserved segments and CUDA context")
    fits: bool = Field(description="measured, or the best guess of a simulation")
    sure: bool = Field(default=True, description="false where a simulation's lower and upper bound disagree")
    requested_bytes: int | None = Field(default=None, description="asked for at once; None where it is not known")
    allocated_bytes: int | None = Field(default=None, description="blocks in use at once")
    context_bytes: int | None = Field(default=None, description="measured beside the allocator, on a GPU")
    nvml_bytes: int | None = Field(default=None, description="what NVML says of the process at its end, on a GPU")
    retries: int = Field(default=0, description="how often cached segments were released to make room")
    simulated_peak: bool = Field(
        default=False, description="on a GPU: memory ran out, so that peak_bytes is a simulation's, more than the cap"
    )

    @property
    def verdict(self) -> Literal["fits", "exceeds", "undetermined"]:
        """The answer in a word."""
        if not self.sure:
            return "undetermined"
        return "fits" if self.fits else "exceeds"


class FitValues(Frozen):
    """The largest batch, 0 where not even one image fits, with the evidence for it."""

    max_batch: int
    peak_bytes: int | None = Field(description="at max_batch; None where nothing fits")
    next_peak_bytes: int = Field(description="at the next batch, which does not fit")
    bytes_per_image: int | None = Field(
        default=None, description="by which the requested peak grows from max_batch to the next batch"
    )
    sure_batch: int | None = Field(default=None, description="largest that fits by the upper bound; simulated only")
    possible_batch: int | None = Field(default=None, description="largest that fits by the lower bound; simulated only")
    slower_batch: int | None = Field(
        default=None,
        description="largest that trains where convolutions without their workspace fall to slower engines; simulated "
        "only, None where they have none",
    )
    probes: tuple[Probe, ...]

    @property
    def batch_text(self) -> str:
        """The batch in print, - for none, with those of the bounds where they differ."""
        between = f" ({self.sure_batch}-{self.possible_batch})" if self.sure_batch != self.possible_batch else ""
        return f"{self.max_batch or '-'}{between}"


class MemoryValues(FitValues):
    """The same for a model and task, and how many parameters the model has."""

    kind: Literal["memory"] = "memory"
    parameters: int = Field(description="by the paper's convention, frozen kernel values included where it does")
    trainable_parameters: int


class StepValues(FitValues):
    """The same for a user's own training step."""

    kind: Literal["step"] = "step"


class ImageScore(Frozen):
    """One held-out image: the starting image's quality and the reconstruction's."""

    name: str
    group: str = Field(description="patient, volume or file: what a bootstrap resamples")
    start_psnr_db: float
    start_ssim: float
    psnr_db: float
    ssim: float
    residual: float | None = Field(
        default=None, description="the largest relative residual of its fixed points; None without fixed points"
    )
    more: dict[str, float] = Field(
        default_factory=dict, description="the reconstruction's by other conventions, keyed as in the task's metrics"
    )


def mean_psnr_db(items: Sequence[ImageScore]) -> tuple[float, float]:
    """Return the mean PSNR of the starting images and of the reconstructions, in dB."""
    return fmean(item.start_psnr_db for item in items), fmean(item.psnr_db for item in items)


class SolverPoint(Frozen):
    """How the fixed points of one training step were solved: means over the batch, one per stage."""

    step: int
    forward_steps: tuple[float, ...]
    forward_residuals: tuple[float, ...]
    backward_steps: tuple[float, ...] = Field(description="of the gradient's linear fixed points; may be empty")
    backward_residuals: tuple[float, ...]


class ValidationPoint(Frozen):
    """How good the weights were at one point of a training run: means over the validation images."""

    step: int = Field(description="optimiser steps done")
    train_s: float = Field(description="of training up to here; validation does not count")
    psnr_db: float
    ssim: float


class AccuracyValues(Frozen):
    """Scores of every held-out image and the course of the training."""

    kind: Literal["accuracy"] = "accuracy"
    items: tuple[ImageScore, ...]
    loss_trace: tuple[float, ...] = Field(description="training loss at every step; nan steps were skipped")
    skipped_steps: int = Field(description="steps whose loss or gradient was not finite")
    solver_steps: tuple[float, ...] = Field(description="mean fixed-point steps per stage on the held-out images")
    residuals: tuple[float, ...] = Field(description="mean relative residual per stage on the held-out images")
    warm_solver_steps: tuple[float, ...] = Field(
        default=(), description="as solver_steps, each solve started at the r* of the stage before; LUSER only"
    )
    solver_trace: tuple[SolverPoint, ...] = Field(default=(), description="evenly spread over the training steps")
    validation_trace: tuple[ValidationPoint, ...] = Field(default=(), description="of the averaged weights")
    chosen_step: int | None = Field(
        default=None, description="whose weights were the best by validation; None: the last"
    )
    train_s: float = Field(description="of training, without validation")
    pretrain_s: float = Field(default=0.0, description="of training as a denoiser before")
    validation_s: float = Field(default=0.0, description="of validation")
    data_s: float = Field(default=0.0, description="of train_s: waiting for images")
    step_s: float | None = Field(default=None, description="median of a training step")
    amx: bool | None = Field(
        default=None, description="whether bfloat16 ran on a processor's AMX units; None: not known, or no bfloat16"
    )
    flags: dict[str, str] = Field(
        default_factory=dict, description="environment variables that can move a number or a speed, such as MALLOC_*"
    )
    weights: str | None = Field(default=None, description="file of the weights, relative to the results folder")
    example: str | None = Field(
        default=None, description="file of Figure 2's arrays, relative to the results folder; see bench.records.store"
    )


Setting = dict[str, float | str]
"""A reference method's parameters by name."""


class TuningPoint(Frozen):
    """One setting that was tried: means over the validation images."""

    setting: Setting
    psnr_db: float
    ssim: float


class ReferenceValues(Frozen):
    """Scores of every held-out image with the setting that was the best on the validation images."""

    kind: Literal["reference"] = "reference"
    items: tuple[ImageScore, ...]
    setting: Setting = Field(description="of those tried, with the highest mean PSNR")
    tuning: tuple[TuningPoint, ...] = Field(description="every setting tried, in order: the whole grid, then finer")
    tuning_s: float = Field(description="of all of them")
    reconstruct_s: float = Field(description="of one held-out image, in a batch")


class TimingValues(Frozen):
    """Seconds for a whole batch, every repeat, so that any statistic can be taken later."""

    kind: Literal["timing"] = "timing"
    train_step_s: tuple[float, ...]
    evaluation_s: tuple[float, ...]


class CallsValues(Frozen):
    """Applications, a batch counting once, keyed '<forward|adjoint>.<reconstruct|solve|backward>'."""

    kind: Literal["calls"] = "calls"
    training_step: dict[str, float]
    reconstruction: dict[str, float]


Values = Annotated[
    MemoryValues
    | AccuracyValues
    | ReferenceValues
    | TimingValues
    | CallsValues
    | SolversValues
    | OperatorsValues
    | SpeedValues
    | ProofValues
    | CheckValues
    | StepValues,
    Field(discriminator="kind"),
]
