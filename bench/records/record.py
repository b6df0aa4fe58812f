"""One record: question, answer, provenance. Never imports torch."""

from enum import Enum
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from bench.records.answer import Values
from bench.records.frozen import Frozen
from bench.records.identity import ADDED, asked, digest
from bench.records.question import Spec


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


class Provenance(Frozen):
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
    cuda: str | None = Field(
        default=None,
        description="version that a GPU's memory was proved with; None: not known",
        json_schema_extra=ADDED,
    )
    cudnn: str | None = Field(default=None, description="likewise", json_schema_extra=ADDED)
    flags: dict[str, bool | str] = Field(
        default_factory=dict,
        description="under which a GPU's memory was proved, as of bench.memory.calibration",
        json_schema_extra=ADDED,
    )

    @property
    def env_id(self) -> str:
        """Hash of what decides speed, rounding and memory: device, libraries, platform, threads, flags."""
        apart = {"created", "commit", "dirty", "python"}
        return digest({name: value for name, value in asked(self).items() if name not in apart})


class Record(Frozen):
    """One cell of the study: a question, its answer and where that answer comes from."""

    spec: Spec
    status: Status
    values: Values | None = Field(description="None where the cell has no answer; ``message`` then says why")
    message: str = ""
    provenance: Provenance

    @model_validator(mode="after")
    def _answers_its_question(self) -> "Record":
        if self.values is not None and self.values.kind != self.spec.kind:
            raise ValueError(f"a {self.spec.kind} question with {self.values.kind} values")
        return self

    @property
    def cell_id(self) -> str:
        """Identity of the question."""
        return cell_id(self.spec)

    @property
    def current(self) -> bool:
        """Whether it was measured by today's protocol of its kind."""
        return self.spec.protocol == type(self.spec).model_fields["protocol"].default


def cell_id(spec: BaseModel) -> str:
    """Return the SHA-256 of the canonical JSON of what was asked, as 64 hexadecimal digits."""
    return digest(asked(spec))
