"""Answers of the simulator's proofs: against published GPU data and real CPU steps. No torch."""

from typing import Literal

from pydantic import Field

from bench.records.frozen import Frozen


class HistoryRow(Frozen):
    """One recorded history of an allocator."""

    file: str
    events: int
    reserved_bytes: int = Field(description="at its end")
    replayed: bool = Field(description="whether every block came to lie where it lay")


class PeerFigures(Frozen):
    """What another estimator predicts of the same runs."""

    name: str = Field(description="of the distribution")
    version: str
    constant_bytes: int = Field(description="fitted as ours is: what a process takes beside the prediction")
    predicted_bytes: tuple[int, ...] = Field(description="of every run, without the constant")


class ProofValues(Frozen):
    """Histories that replay or don't; or what trainings took beside what was predicted, run by run."""

    kind: Literal["proof"] = "proof"
    histories: tuple[HistoryRow, ...] = ()
    constant_bytes: int | None = Field(default=None, description="what a process takes beside its allocator")
    constant_alone_bytes: int | None = Field(default=None, description="the same where nothing is simulated")
    fitted_runs: int = Field(default=0, description="the first runs, to which alone constants are fitted; 0: to none")
    measured_bytes: tuple[int, ...] = ()
    reserved_bytes: tuple[int, ...] = Field(default=(), description="simulated, without the constant")
    requested_bytes: tuple[int, ...] = Field(default=(), description="the fake tensors' own peak, without rules")
    peers: tuple[PeerFigures, ...] = Field(default=(), description="those that were installed")
    names: tuple[str, ...] = Field(default=(), description="of runs that are few enough to be told one by one")


SMALL_BYTES = 2**16
"""Scalars and vectors that a trace and a CPU don't hold alike."""


class CheckValues(Frozen):
    """The most bytes alive at once in a real training step on a CPU, beside what a simulation says of the same step."""

    kind: Literal["check"] = "check"
    profiled_bytes: int = Field(description="by torch's CPU profiler: all that asked torch's allocator for memory")
    simulated_bytes: int = Field(description="requested at once, nothing rounded")
    map_bytes: int = Field(description="of the batch's largest feature map, of 64 channels in our models")
    weight_bytes: int = Field(description="of the largest filter")

    @property
    def difference_bytes(self) -> int:
        """Profiled minus simulated."""
        return self.profiled_bytes - self.simulated_bytes

    @property
    def difference_maps(self) -> float:
        """The same in feature maps."""
        return self.difference_bytes / max(self.map_bytes, 1)

    @property
    def explained(self) -> bool:
        """Whether a CPU's scratch explains it: oneDNN's convolutions copy at most one map and one filter."""
        scratch = self.map_bytes + self.weight_bytes
        return -SMALL_BYTES <= self.difference_bytes <= scratch + SMALL_BYTES
