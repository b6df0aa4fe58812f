"""Two training steps under fake tensors as a sequence of memory requests, each affine in the batch.

Nothing is computed and nothing image-sized is allocated. The requests of two batch sizes give those of every
batch: each request is an affine function of the batch, and their order does not depend on it.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from bench.memory.recorder import Note, StepRecorder
from bench.memory.rules import CudaAutocast
from bench.record import Precision
from bench.training.step import make_optimizer, training_step
from models import Policy, ReconstructionModel
from operators import LinearOperator

TRACED_BATCHES = (2, 4)
TRACED_SOLVER_STEPS = 3
STEPS = 2
"""Adam's state is born in the first step and meets the activations in the second."""


class TraceError(RuntimeError):
    """The step depends on values, its order on the batch, or a request is not affine in the batch."""


class Affine(NamedTuple):
    """``base + slope * batch``."""

    base: int
    slope: int

    def at(self, batch: int) -> int:
        """Return the value at a batch size."""
        return self.base + self.slope * batch


@dataclass(frozen=True)
class Request:
    """One piece of memory.

    Attributes:
        size: bytes; the most where it is hidden.
        low: the least bytes where it is hidden.
        phase: of the step; see ``recorder.Note``.
        layer: what it belongs to; see ``recorder.Note``.
        call: "" for a tensor; for what a library takes beside its results, the call as JSON: its name, and its
            arguments with tensors as {dtype: shape} and {"batch": [base, slope]} for what the batch moves.
    """

    size: Affine
    low: Affine
    phase: str
    layer: str
    call: str = ""


@dataclass(frozen=True)
class Trace:
    """Two training steps.

    Attributes:
        requests: every piece of memory, in order of birth.
        events: (index of the request, whether it is born; else it dies), in order.
    """

    requests: tuple[Request, ...]
    events: tuple[tuple[int, bool], ...]


class ShapeOperator(LinearOperator):
    """Stands in for an operator: the same shapes and dtype, and one allocation, its output, per application.

    Args:
        image_shape: shape of one image.
        data_shape: shape of one measurement.
        data_dtype: dtype of the measurements.
        frozen_values: kernel values that the paper counts as parameters.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        data_shape: tuple[int, ...],
        data_dtype: torch.dtype,
        frozen_values: int = 0,
    ) -> None:
        super().__init__(image_shape, data_shape)
        self.data_dtype = data_dtype
        self._frozen_values = frozen_values
        self._norm = 1.0

    @property
    def frozen_values(self) -> int:
        """The frozen kernel values of the operator it stands for."""
        return self._frozen_values

    def _forward(self, x: Tensor) -> Tensor:
        return x.new_empty((len(x), *self.data_shape), dtype=self.data_dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.new_empty((len(y), *self.image_shape), dtype=torch.float32)


def trace_training(
    make_model: Callable[..., ReconstructionModel],
    operator: ShapeOperator,
    policy: Policy,
    precision: Precision = "fp32",
) -> Trace:
    """Trace two training steps of a model.

    Args:
        make_model: called as ``make_model(channels=C)``.
        operator: shapes of the task's operator.
        policy: what the model keeps for the backward pass.
        precision: see ``bench.train.compute_gradients``.

    Raises:
        TraceError: if the step depends on values, two batch sizes don't agree on the order of events, or a size is
            not affine in the batch.
    """
    small, large = (_record(make_model, operator, policy, precision, batch) for batch in TRACED_BATCHES)
    events = small.finished_events()
    if events != large.finished_events():
        raise TraceError("the order of allocations depends on the batch size")
    sizes = zip(small.sizes, large.sizes, small.notes, large.notes, strict=True)
    return Trace(tuple(_request(*both) for both in sizes), tuple(events))


def _request(small: int, large: int, note: Note, other: Note) -> Request:
    size = _affine(small, large)
    if not note.operation:
        return Request(size, size, note.phase, note.layer)
    call = json.dumps([note.operation, _affine_dimensions(note.arguments, other.arguments)], separators=(",", ":"))
    return Request(size, _affine(note.low_bytes, other.low_bytes), note.phase, note.layer, call)


def _affine(small: int, large: int) -> Affine:
    first, second = TRACED_BATCHES
    slope, rest = divmod(large - small, second - first)
    if rest or small < slope * first:
        raise TraceError(f"a request of {small} and {large} bytes is not affine in the batch")
    return Affine(small - slope * first, slope)


def _affine_dimensions(small: Any, large: Any) -> Any:
    """Return a call's arguments as ``Request.call`` has them."""
    if isinstance(small, dict):
        return {key: _affine_dimensions(small[key], large[key]) for key in small}
    if isinstance(small, list):
        return [_affine_dimensions(one, other) for one, other in zip(small, large, strict=True)]
    if isinstance(small, int) and small != large:
        return {"batch": list(_affine(small, large))}
    return small if isinstance(small, int | float | str | None) else str(small)


def _record(
    make_model: Callable[..., ReconstructionModel],
    operator: ShapeOperator,
    policy: Policy,
    precision: Precision,
    batch: int,
) -> StepRecorder:
    recorder = StepRecorder()
    autocast = nullcontext() if precision == "fp32" else CudaAutocast()
    try:
        with _no_cycle_collection(), FakeTensorMode(), recorder, autocast:
            recorder.section = "weights"
            model = make_model(channels=operator.image_shape[0])
            _bound_solver(model, policy)
            optimizer = make_optimizer(model)
            recorder.section = "images and measurements"
            truth = torch.empty(batch, *operator.image_shape)
            y = torch.empty(batch, *operator.data_shape, dtype=operator.data_dtype)
            recorder.section = ""
            with recorder.watching(model, optimizer):
                for _ in range(STEPS):
                    training_step(model, optimizer, operator, y, truth, "final", precision)
            recorder.events = recorder.events[:]  # what dies after the steps is not part of them
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise TraceError(
            f"the training step depends on values ({error.func}), which a trace does not have; a GPU can prove it"
        ) from error
    return recorder


def _bound_solver(model: ReconstructionModel, policy: Policy) -> None:
    model.policy = policy
    model.train()
    solver = getattr(model, "solver", None)
    if solver is not None:
        # The history is allocated whole at the start, so memory does not grow after the second step; and
        # tolerance zero never asks a fake tensor for a value.
        model.solver = replace(solver, max_steps=min(solver.max_steps, TRACED_SOLVER_STEPS), tolerance=0.0)


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Storages die by reference count alone, at the same event in every trace."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
