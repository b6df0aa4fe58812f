"""Records every storage of two training steps under fake tensors: what is requested, and for how long.

Nothing is computed and nothing image-sized is allocated. The requests of two batch sizes give those of every
batch: each request is an affine function of the batch, and their order does not depend on it.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.memory.allocator import CachingAllocator
from bench.memory.storage import StorageRecorder
from bench.train import make_optimizer, training_step
from models import Policy, ReconstructionModel
from operators import LinearOperator

TRACED_BATCHES = (2, 4)
TRACED_SOLVER_STEPS = 3
STEPS = 2
"""Adam's state is born in the first step and meets the activations in the second."""


class TraceError(RuntimeError):
    """Two batch sizes gave different event orders, or a request that is not affine in the batch."""


@dataclass(frozen=True)
class Event:
    """Birth or death of one storage.

    Attributes:
        storage: number of the storage in order of birth.
        birth: whether it is born or dies.
        base_bytes: its size is ``base_bytes + slope_bytes * batch``.
        slope_bytes: growth per image.
    """

    storage: int
    birth: bool
    base_bytes: int = 0
    slope_bytes: int = 0


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
    make_model: Callable[..., ReconstructionModel], operator: ShapeOperator, policy: Policy
) -> tuple[Event, ...]:
    """Trace two training steps of a model.

    Args:
        make_model: called as ``make_model(channels=C)``.
        operator: shapes of the task's operator.
        policy: what the model keeps for the backward pass.

    Returns:
        Births and deaths in order, sizes affine in the batch.

    Raises:
        TraceError: if two batch sizes don't agree on the order, or a size is not affine.
    """
    small, large = (_record(make_model, operator, policy, batch) for batch in TRACED_BATCHES)
    if small.events != large.events:
        raise TraceError("the order of allocations depends on the batch size")
    spacing = TRACED_BATCHES[1] - TRACED_BATCHES[0]
    affine: list[tuple[int, int]] = []
    for low, high in zip(small.sizes, large.sizes, strict=True):
        slope, rest = divmod(high - low, spacing)
        if rest or low < slope * TRACED_BATCHES[0]:
            raise TraceError(f"a request of {low} and {high} bytes is not affine in the batch")
        affine.append((low - slope * TRACED_BATCHES[0], slope))
    return tuple(Event(number, birth, *(affine[number] if birth else (0, 0))) for number, birth in small.events)


def replay(events: tuple[Event, ...], batch: int, limit_bytes: int | None = None) -> CachingAllocator:
    """Replay a trace at a batch size through the caching allocator.

    Raises:
        OutOfMemoryError: if it does not fit under ``limit_bytes`` of reserved memory.
    """
    allocator = CachingAllocator(limit_bytes)
    addresses: dict[int, int] = {}
    for event in events:
        if event.birth:
            addresses[event.storage] = allocator.allocate(event.base_bytes + event.slope_bytes * batch)
        else:
            allocator.release(addresses.pop(event.storage))
    return allocator


def _record(
    make_model: Callable[..., ReconstructionModel], operator: ShapeOperator, policy: Policy, batch: int
) -> StorageRecorder:
    recorder = StorageRecorder()
    with _no_cycle_collection(), FakeTensorMode(), recorder:
        model = make_model(channels=operator.image_shape[0])
        model.policy = policy
        model.train()
        solver = getattr(model, "solver", None)
        if solver is not None:
            # The history is allocated whole at the start, so memory does not grow after the second step; and
            # tolerance zero never asks a fake tensor for a value.
            model.solver = replace(solver, max_steps=min(solver.max_steps, TRACED_SOLVER_STEPS), tolerance=0.0)
        optimizer = make_optimizer(model)
        truth = torch.empty(batch, *operator.image_shape)
        y = torch.empty(batch, *operator.data_shape, dtype=operator.data_dtype)
        for _ in range(STEPS):
            training_step(model, optimizer, operator, y, truth, "final")
    recorder.events = recorder.events[:]  # what dies after the steps is not part of them
    return recorder


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Storages die by reference count alone, at the same event in every trace."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
