"""Answers of comparisons with other libraries: solvers and operators. Never imports torch."""

from typing import Literal

from pydantic import Field

from bench.records.frozen import Frozen


class MethodRow(Frozen):
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


class RuleRow(Frozen):
    """One gradient rule in a whole training step; seconds of every repeat, taken in turn with the other rules."""

    rule: str
    step_s: tuple[float, ...]
    kept_bytes: int = Field(description="of storages that the forward pass leaves for the backward pass")
    peak_bytes: int = Field(description="of storages alive during a step, weights and optimiser left out")
    gradient_error: float


class SolversValues(Frozen):
    """Methods on one map, and gradient rules in a training step."""

    kind: Literal["solvers"] = "solvers"
    methods: tuple[MethodRow, ...]
    rules: tuple[RuleRow, ...]
    step_batch: int = Field(description="images of the training steps")


Direction = Literal["forward", "adjoint"]


class LibraryRow(Frozen):
    """One library's implementation of an operator: what it takes to have it, and how far it is from ours."""

    library: str
    method: str = Field(description="which of the library's implementations, empty where it has one")
    build_s: float = Field(description="from the arguments alone: nothing is read from the disk cache")
    stored_bytes: int = Field(description="of its tables, after use")
    forward_difference: float = Field(description="relative l2, on our detectors")
    adjoint_difference: float = Field(description="relative l2, after the best common factor: scalings differ")


class ApplicationRow(Frozen):
    """One library's operator applied to a batch; seconds of every call, taken in turn with the other libraries."""

    library: str
    method: str
    direction: Direction
    batch: int
    call_s: tuple[float, ...]


class DoublingRow(Frozen):
    """Our operator on a problem and on one twice as large in one respect; seconds of every call, taken in turn."""

    doubled: Literal["batch", "angles", "detectors"]
    direction: Direction
    batch: int = Field(description="of the smaller problem")
    call_s: tuple[float, ...]
    doubled_call_s: tuple[float, ...]


class OperatorsValues(Frozen):
    """One operator by every library, ours first."""

    kind: Literal["operators"] = "operators"
    libraries: tuple[LibraryRow, ...]
    applications: tuple[ApplicationRow, ...] = Field(description="without what would take too long at a batch")
    doublings: tuple[DoublingRow, ...]


class SpeedValues(Frozen):
    """Seconds of every repeat, each taken right before or after the other's."""

    kind: Literal["speed"] = "speed"
    work_s: tuple[float, ...]
    beside_s: tuple[float, ...]
