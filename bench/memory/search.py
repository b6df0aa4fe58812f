"""The largest batch, one or even, that trains under a cap; simulated here, probed in ``cuda.py``."""

from collections.abc import Callable
from functools import lru_cache

import torch

from bench.cli import resolve_model
from bench.memory.allocator import GIB, OutOfMemoryError
from bench.memory.trace import Event, ShapeOperator, replay, trace_training
from bench.record import MemorySpec
from bench.tasks import TASKS
from bench.values import Probe
from models import Policy, parameter_counts

SIMULATED_OVERHEAD_BYTES = int(0.6 * GIB)
"""What a process holds beside the caching allocator's segments and what a fake trace cannot see: CUDA context,
cuBLAS and cuDNN workspaces, operator tables. An allowance, not a measurement; with a GPU it is measured."""

Try = Callable[[int], Probe]
"""Runs or simulates a training step at a batch size."""


def largest_batch(attempt: Try, guess: int = 2) -> tuple[int, tuple[Probe, ...]]:
    """Search 0, 1, 2, 4, 6, ... for the largest batch that fits while the next one does not.

    Args:
        attempt: tries one batch; assumed monotone, and both sides of the answer are always tried.
        guess: where to start; a good one makes two probes enough.

    Returns:
        The batch, 0 where one image does not fit, and every probe, by batch.
    """
    probes: dict[int, Probe] = {}

    def fits(index: int) -> bool:
        batch = max(2 * index, 1)
        if batch not in probes:
            probes[batch] = attempt(batch)
        return probes[batch].fits

    # Index i stands for batch 2i, index 0 for batch 1, and -1 for "not even one".
    low = high = max(guess // 2, 0)
    step = 1
    if fits(low):
        while fits(high := low + step):
            low, step = high, 2 * step
    else:
        while (low := max(high - step, -1)) >= 0 and not fits(low):
            high, step = low, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    batch = 0 if low < 0 else max(2 * low, 1)
    return batch, tuple(probes[key] for key in sorted(probes))


def next_batch(batch: int) -> int:
    """Return the candidate after a batch: 0, 1, 2, 4, 6, ..."""
    return batch + 1 if batch < 2 else batch + 2


def simulate(spec: MemorySpec, batch: int) -> Probe:
    """Replay a traced training step at a batch size under the cap.

    Returns:
        Whether it fits, and the process's peak: reserved segments and the allowance for the rest. Where it
        does not fit, the peak is what it would take without a cap.
    """
    events = _events(spec.task, spec.model, spec.policy, spec.image_shape)
    free = _uncapped_reserved(spec.task, spec.model, spec.policy, spec.image_shape, batch)
    limit = spec.cap_bytes - SIMULATED_OVERHEAD_BYTES
    if free <= limit:
        return Probe(batch=batch, peak_bytes=free + SIMULATED_OVERHEAD_BYTES, fits=True)
    try:
        peak = replay(events, batch, limit).peak_reserved_bytes
    except OutOfMemoryError:
        return Probe(batch=batch, peak_bytes=free + SIMULATED_OVERHEAD_BYTES, fits=False)
    return Probe(batch=batch, peak_bytes=peak + SIMULATED_OVERHEAD_BYTES, fits=True)


def guess_batch(spec: MemorySpec) -> int:
    """Guess the answer from the reserved bytes of the traced batches: a line through two points."""
    low, high = (_uncapped_reserved(spec.task, spec.model, spec.policy, spec.image_shape, b) for b in (2, 4))
    slope = max((high - low) / 2, 1.0)
    batch = 2 + (spec.cap_bytes - SIMULATED_OVERHEAD_BYTES - low) / slope
    return max(2 * int(batch / 2), 1)


@lru_cache(maxsize=64)
def _events(task: str, model: str, policy: Policy, image_shape: tuple[int, int]) -> tuple[Event, ...]:
    return trace_training(resolve_model(model), shape_operator(task, image_shape), policy)


@lru_cache(maxsize=4096)
def _uncapped_reserved(task: str, model: str, policy: Policy, image_shape: tuple[int, int], batch: int) -> int:
    return replay(_events(task, model, policy, image_shape), batch).peak_reserved_bytes


@lru_cache(maxsize=16)
def shape_operator(task: str, image_shape: tuple[int, int]) -> ShapeOperator:
    """Return a stand-in with the shapes of a task's operator at an image size."""
    operator = TASKS[task].operator_at(image_shape, torch.device("cpu"))
    y = operator(torch.zeros(1, *operator.image_shape))
    return ShapeOperator(operator.image_shape, tuple(y.shape[1:]), y.dtype, operator.frozen_values)


def count_parameters(task: str, model: str, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return Table 3's parameter count of a model on a task, and its trainable parameters alone."""
    built = resolve_model(model)(channels=TASKS[task].channels)
    return parameter_counts(built, shape_operator(task, image_shape))
