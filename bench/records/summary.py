"""What a list shows of a record; the rest of its file is neither checked nor kept. Never imports torch."""

from pathlib import Path
from statistics import median

from pydantic import AwareDatetime, BaseModel, Field

from bench.records.record import Status
from bench.records.units import GIB


class _Origin(BaseModel):
    created: AwareDatetime
    device: str
    dirty: bool


class _Question(BaseModel):
    """Fields that some kind of question has."""

    kind: str
    protocol: int
    task: str | None = None
    model: str | None = None
    method: str | None = None
    operator: str | None = None
    scan: str | None = None
    step: str | None = None
    source: str | None = None
    file: str | None = None
    work: str | None = None
    cap_bytes: int | None = Field(default=None, le=2**63)
    backend: str | None = None
    policy: str | None = None
    scale: str | None = None
    data: str | None = None
    loss: str | None = None
    start: str = "adjoint"
    precision: str = "fp32"
    batch: int | None = None
    seed: int | None = None


class _Score(BaseModel):
    psnr_db: float


class _Answer(BaseModel):
    """Fields that some kind of answer has."""

    max_batch: int | None = None
    items: tuple[_Score, ...] = ()
    train_step_s: tuple[float, ...] = ()


class Summary(BaseModel):
    """The fields of a record that a list shows."""

    spec: _Question
    status: Status
    values: _Answer | None
    provenance: _Origin

    @property
    def subject(self) -> str:
        """What is measured."""
        spec = self.spec
        parts = (
            spec.task,
            spec.model,
            spec.method,
            spec.operator,
            spec.scan,
            spec.step,
            spec.source,
            spec.file,
            spec.work,
        )
        return " ".join(filter(None, parts))

    @property
    def details(self) -> str:
        """What tells the questions about a subject apart, in a few words."""
        spec = self.spec
        return ", ".join(
            filter(
                None,
                (
                    f"{spec.cap_bytes / GIB:g} GiB" if spec.cap_bytes else "",
                    spec.backend,
                    spec.policy,
                    spec.scale,
                    spec.data,
                    f"{spec.loss} loss" if spec.loss else "",
                    f"from {spec.start}" if spec.start != "adjoint" else "",
                    spec.precision if spec.precision != "fp32" else "",
                    f"batch {spec.batch}" if spec.batch else "",
                    f"seed {spec.seed}" if spec.seed is not None else "",
                    f"protocol {spec.protocol}",
                ),
            )
        )

    @property
    def answer(self) -> str:
        """The main figure of the answer; empty where there is none, or no single one."""
        values = self.values
        if values is None:
            return ""
        if values.items:
            return f"{sum(item.psnr_db for item in values.items) / len(values.items):.2f} dB"
        if values.train_step_s:
            return f"{median(values.train_step_s):.3g} s/step"
        return f"largest batch {values.max_batch}" if values.max_batch is not None else ""


def ids_of(path: Path) -> str:
    """Return the identities at the end of a record's file name: first digits of the cell's and the environment's."""
    return "-".join(path.stem.split("-")[-2:])
