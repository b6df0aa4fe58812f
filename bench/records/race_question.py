"""Questions about operators' and solvers' speed beside other code's. Never imports torch."""

from typing import Literal

from pydantic import Field

from bench.records.frozen import Frozen


class OperatorsSpec(Frozen):
    """How fast an operator is in both directions, beside the same map by other libraries."""

    kind: Literal["operators"] = "operators"
    operator: str = Field(description="radon, blur or fourier")
    scan: str = Field(
        description="which angles the Radon transform has, see bench.comparison.operator_cases; else 'paper'"
    )
    image_shape: tuple[int, int] = Field(description="height and width in pixels")
    data_shape: tuple[int, ...] = Field(description="of one image's measurements: (1, T, D) for radon")
    batches: tuple[int, ...]
    repeats: int = Field(description="turns; the slowest libraries sit some of them out")
    peers: tuple[str, ...] = Field(description="'name version' of every other library that took part")
    protocol: int = 2

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: operator and scan."""
        return self.operator, self.scan


class SpeedSpec(Frozen):
    """How long a piece of work takes beside what it could take at best, or beside another library."""

    kind: Literal["speed"] = "speed"
    work: str = Field(description="key of bench.comparison.speed_pairs.WORK")
    batch: int
    image_shape: tuple[int, int] = Field(description="height and width in pixels")
    beside: str = Field(description="what it is compared with")
    repeats: int
    peers: tuple[str, ...] = Field(description="'name version' of the other library that took part, if any")
    protocol: int = 1

    @property
    def subject(self) -> tuple[str, str]:
        """What is measured, in file names and on progress lines: the two parts of the work's name."""
        first, _, rest = self.work.partition("-")
        return first, rest
