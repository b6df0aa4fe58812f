"""What one measurement is: what was asked, what came out, and where it ran. Never imports torch."""

import hashlib
import json
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

PROTOCOL = 2
"""Raised by every change that moves a number (see CHANGELOG.md); older records are then measured again."""

Policy = Literal["paper", "recompute"]
Loss = Literal["final", "aux"]


class Status(str, Enum):
    """How a cell ended. Every cell ends in a record, so that one failure never takes a sweep down."""

    OK = "ok"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    NONCONVERGED = "nonconverged"
    TIMEOUT = "timeout"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"

    @property
    def finished(self) -> bool:
        """Whether the same question would get the same answer again: crashes and time-outs are retried."""
        return self not in (Status.FAILED, Status.TIMEOUT)


class _Frozen(BaseModel):
    # JSON has no nan: a skipped step's loss is stored as the string "NaN" and read back as a float.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class _Spec(_Frozen):
    task: str
    model: str
    image_shape: tuple[int, int] = Field(description="height and width in pixels")
    protocol: int = PROTOCOL


class MemorySpec(_Spec):
    """Which batch fits: one model and task under one cap."""

    kind: Literal["memory"] = "memory"
    policy: Policy
    cap_bytes: int
    backend: Literal["simulate", "cuda"]
    precision: Literal["fp32"] = "fp32"


class AccuracySpec(_Spec):
    """How well one model trained with one loss reconstructs held-out images."""

    kind: Literal["accuracy"] = "accuracy"
    loss: Loss
    scale: str
    data: str = Field(description="label of the data source: 'generated', or the folder's own name")
    policy: Policy
    steps: int
    batch: int
    train_images: int
    test_images: int
    seed: int
    jacobian_weight: float = Field(default=0.0, description="of the Jacobian's penalty; 0 without one")
    pretrain_steps: int = Field(default=0, description="steps of training as a denoiser before; 0 without them")


class TimingSpec(_Spec):
    """How long a training step and a reconstruction take."""

    kind: Literal["timing"] = "timing"
    policy: Policy
    batch: int
    batch_rule: Literal["common", "maximum"] = Field(description="the same batch for all, or the model's own maximum")
    cap_bytes: int | None = Field(default=None, description="the cap that decided the maximum batch")
    repeats: int


class CallsSpec(_Spec):
    """How often the operator and its adjoint are applied."""

    kind: Literal["calls"] = "calls"
    policy: Policy
    batch: int
    training_steps: int = Field(description="steps before the count: a deep-equilibrium model's depends on them")


class SolversSpec(_Spec):
    """How the fixed-point methods and gradient rules of several libraries compare on one map."""

    kind: Literal["solvers"] = "solvers"
    batch: int
    tolerance: float
    max_steps: int
    history: int
    repeats: int
    peers: tuple[str, ...] = Field(description="'name version' of every other library that took part")


class Probe(_Frozen):
    """One batch tried under a cap."""

    batch: int
    peak_bytes: int
    fits: bool


class MemoryValues(_Frozen):
    """The largest batch, 0 where not even one image fits, with the evidence for it."""

    kind: Literal["memory"] = "memory"
    max_batch: int
    parameters: int = Field(description="by the paper's convention, frozen kernel values included where it does")
    trainable_parameters: int
    peak_bytes: int | None = Field(description="at max_batch; None where nothing fits")
    next_peak_bytes: int = Field(description="at the next batch, which does not fit")
    probes: tuple[Probe, ...]


class ImageScore(_Frozen):
    """One held-out image: the starting image's quality and the reconstruction's."""

    name: str
    group: str = Field(description="patient, volume or file: what a bootstrap resamples")
    start_psnr_db: float
    start_ssim: float
    psnr_db: float
    ssim: float


class SolverPoint(_Frozen):
    """How the fixed points of one training step were solved: means over the batch, one a stage."""

    step: int
    forward_steps: tuple[float, ...]
    forward_residuals: tuple[float, ...]
    backward_steps: tuple[float, ...] = Field(description="of the gradient's linear fixed points; may be empty")
    backward_residuals: tuple[float, ...]


class AccuracyValues(_Frozen):
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
    train_s: float
    example: str | None = Field(
        default=None, description="file of Figure 2's arrays, relative to the results folder; see bench.store"
    )


class TimingValues(_Frozen):
    """Seconds for a whole batch, every repeat, so that any statistic can be taken later."""

    kind: Literal["timing"] = "timing"
    train_step_s: tuple[float, ...]
    evaluation_s: tuple[float, ...]


class CallsValues(_Frozen):
    """Applications, a batch counting once, keyed '<forward|adjoint>.<reconstruct|solve|backward>'."""

    kind: Literal["calls"] = "calls"
    training_step: dict[str, float]
    reconstruction: dict[str, float]


class MethodRow(_Frozen):
    """One library's method on the map; seconds of every repeat, taken in turn with the other methods."""

    library: str
    method: str
    evaluations: int = Field(description="evaluations of the map on the whole batch or a part of it")
    sample_evaluations: int = Field(description="images evaluated, over all evaluations")
    residual: float = Field(description="largest true relative residual of a returned image")
    solve_s: tuple[float, ...]
    overhead_s: tuple[float, ...] = Field(description="outside the map")
    peak_bytes: int = Field(description="of storages alive during a solve")
    gradient_error: float = Field(description="relative, of a whole model's gradient, to float64 unrolling")


class RuleRow(_Frozen):
    """One gradient rule in a whole training step; seconds of every repeat, taken in turn with the other rules."""

    rule: str
    step_s: tuple[float, ...]
    kept_bytes: int = Field(description="of storages that the forward pass leaves for the backward pass")
    peak_bytes: int = Field(description="of storages alive during a step, weights and optimiser left out")
    gradient_error: float


class SolversValues(_Frozen):
    """Methods on one map, and gradient rules in a training step."""

    kind: Literal["solvers"] = "solvers"
    methods: tuple[MethodRow, ...]
    rules: tuple[RuleRow, ...]
    step_batch: int = Field(description="images of the training steps")


class Provenance(_Frozen):
    """Where, when and from what code a record was made."""

    created: AwareDatetime
    commit: str | None
    dirty: bool = Field(description="the checkout had uncommitted changes outside results/ and reports/")
    device: str
    python: str
    torch: str
    platform: str
    threads: int
    options: dict[str, Any] = Field(default_factory=dict, description="flags that can move a number")

    @property
    def env_id(self) -> str:
        """Hash of what decides speed and rounding: device, torch, platform, threads, flags."""
        return _digest(self.model_dump(mode="json", include={"device", "torch", "platform", "threads", "options"}))


Spec = Annotated[MemorySpec | AccuracySpec | TimingSpec | CallsSpec | SolversSpec, Field(discriminator="kind")]
Values = Annotated[
    MemoryValues | AccuracyValues | TimingValues | CallsValues | SolversValues, Field(discriminator="kind")
]


class Measurement(_Frozen):
    """One cell of the study: a question, its answer and where that answer comes from."""

    spec: Spec
    status: Status
    values: Values | None = Field(description="None where the cell has no answer; ``message`` then says why")
    message: str = ""
    provenance: Provenance

    @model_validator(mode="after")
    def _answers_its_question(self) -> "Measurement":
        if self.values is not None and self.values.kind != self.spec.kind:
            raise ValueError(f"a {self.spec.kind} question with {self.values.kind} values")
        return self

    @property
    def cell_id(self) -> str:
        """Identity of the question."""
        return cell_id(self.spec)


def cell_id(spec: BaseModel) -> str:
    """Return the SHA-256 of the canonical JSON of what was asked, as 64 hexadecimal digits."""
    return _digest(spec.model_dump(mode="json"))


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
