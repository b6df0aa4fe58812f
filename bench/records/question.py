"""Questions, one class per kind. Never imports torch."""

from typing import Annotated, Literal

from pydantic import Field

from bench.records.frozen import Frozen
from bench.records.identity import ADDED
from bench.records.race_question import OperatorsSpec, SpeedSpec
from bench.records.recipe import Recipe

Policy = Literal["paper", "recompute"]
Loss = Literal["final", "aux"]
Precision = Literal["fp32", "bf16"]
Start = Literal["adjoint", "fbp"]


class _Spec(Frozen):
    """A question about a model; its ``protocol`` is raised by every change that moves the kind's numbers.

    Records of an older protocol are then measured again and not shown (see CHANGELOG.md).
    """

    task: str
    model: str
    image_shape: tuple[int, int] = Field(description="height and width in pixels")
    code: str | None = Field(
        default=None, description="digest of a user's own model, see bench.cli.source_digest", json_schema_extra=ADDED
    )
    protocol: int = 2

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: task and model."""
        return self.task, self.model


class MemorySpec(_Spec):
    """Which batch fits: one model and task under one cap."""

    kind: Literal["memory"] = "memory"
    policy: Policy
    cap_bytes: int
    backend: Literal["simulate", "cuda"]
    precision: Precision = "fp32"
    expandable_segments: bool = Field(default=False, description="the allocator's setting of that name")
    calibration: str | None = Field(
        default=None, description="whose constants a simulation used; None: documented bounds"
    )
    tf32: bool = Field(
        default=False, description="float32 convolutions and products in TensorFloat-32", json_schema_extra=ADDED
    )
    channels_last: bool = Field(
        default=False, description="memory format of network and images", json_schema_extra=ADDED
    )
    protocol: int = 3


class StepSpec(Frozen):
    """Which batch fits of a user's own training step under one cap."""

    kind: Literal["step"] = "step"
    step: str = Field(description="package.module:make_step")
    code: str = Field(description="digest of its source, see bench.cli.source_digest")
    cap_bytes: int
    backend: Literal["simulate", "cuda"]
    precision: Precision = "fp32"
    expandable_segments: bool = False
    calibration: str | None = None
    tf32: bool = False
    any_batch: bool = Field(default=False, description="odd batches too")
    protocol: int = 1

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: module and function."""
        module, _, function = self.step.partition(":")
        return module, function


FitSpec = MemorySpec | StepSpec
"""A question for the largest batch."""


class Files(Frozen):
    """Digests of a data set's files, see bench.data.fingerprint; None for a split that the question does not use."""

    train: str | None = None
    validation: str | None = None
    test: str | None = None


class AccuracySpec(_Spec):
    """How well one model trained with one loss reconstructs held-out images."""

    kind: Literal["accuracy"] = "accuracy"
    loss: Loss
    scale: str
    data: str = Field(description="label of the data source: 'generated', or the folder's own name")
    policy: Policy
    precision: Precision = "fp32"
    recipe: Recipe
    train_images: int
    test_images: int
    seed: int
    processes: int = Field(
        default=1,
        description="that shared every batch: each draws its own noise and normalises its own images",
        json_schema_extra=ADDED,
    )
    files: Files | None = Field(default=None, description="of real images; None: not known", json_schema_extra=ADDED)
    start: Start = Field(
        default="adjoint", description="image that the model starts from, see models.base", json_schema_extra=ADDED
    )
    protocol: int = 5


class ReferenceSpec(Frozen):
    """How well a method without training reconstructs the same held-out images from the same measurements."""

    kind: Literal["reference"] = "reference"
    task: str
    method: str = Field(description="key of bench.references.REFERENCES")
    image_shape: tuple[int, int] = Field(description="height and width in pixels")
    data: str = Field(description="as of AccuracySpec")
    native: bool = Field(
        default=False, description="whether images keep their pixels; else they are resized", json_schema_extra=ADDED
    )
    validation_images: int = Field(description="on which the method's setting is tuned")
    test_images: int
    files: Files | None = Field(default=None, description="as of AccuracySpec", json_schema_extra=ADDED)
    protocol: int = 2

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: task and method."""
        return self.task, self.method


class TimingSpec(_Spec):
    """How long a training step and a reconstruction take."""

    kind: Literal["timing"] = "timing"
    policy: Policy
    batch: int
    batch_rule: Literal["common", "maximum"] = Field(description="the same batch for all, or the model's own maximum")
    cap_bytes: int | None = Field(default=None, description="the cap that decided the maximum batch")
    repeats: int
    protocol: int = 3


class CallsSpec(_Spec):
    """How often the operator and its adjoint are applied."""

    kind: Literal["calls"] = "calls"
    policy: Policy
    batch: int
    training_steps: int = Field(description="steps before the count: a deep-equilibrium model's depends on them")
    protocol: int = 4


class SolversSpec(_Spec):
    """How the fixed-point methods and gradient rules of several libraries compare on one map."""

    kind: Literal["solvers"] = "solvers"
    batch: int
    tolerance: float
    max_steps: int
    history: int
    repeats: int
    peers: tuple[str, ...] = Field(description="'name version' of every other library that took part")


class ProofSpec(Frozen):
    """How well the simulator foretells what others measured on real GPUs."""

    kind: Literal["proof"] = "proof"
    source: Literal["histories", "perceptrons", "classifiers"] = Field(
        description="allocators' decisions, or peaks of trainings"
    )
    file: str = Field(description="name of what was published")
    content: str = Field(description="digest of it")
    protocol: int = 1

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: the source and its file."""
        return self.source, self.file


class CheckSpec(_Spec):
    """How many bytes one real training step on a CPU holds, beside its simulation."""

    kind: Literal["check"] = "check"
    policy: Policy
    batch: int
    protocol: int = 1


Spec = Annotated[
    MemorySpec
    | AccuracySpec
    | ReferenceSpec
    | TimingSpec
    | CallsSpec
    | SolversSpec
    | OperatorsSpec
    | SpeedSpec
    | ProofSpec
    | CheckSpec
    | StepSpec,
    Field(discriminator="kind"),
]
