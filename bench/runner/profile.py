"""What a job on a cluster asks for. Never imports torch."""

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MINUTES = 240
"""Long jobs wait longer for their turn; trainings resume in the next one."""


class Profile(BaseModel):
    """What a job asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus_per_job: int = Field(default=0, ge=0, le=64)
    cpus_per_job: int | None = Field(default=None, ge=1, le=4096)
    memory_gb: float | None = Field(default=None, gt=0, le=2**20, allow_inf_nan=False)
    minutes: int = Field(default=DEFAULT_MINUTES, ge=1, le=366 * 24 * 60)
    jobs: int | None = Field(default=None, ge=1, le=1024, description="at once")
    setup: tuple[str, ...] = Field(default=(), description="shell lines before a job's Python")
