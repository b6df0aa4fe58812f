"""Two training steps under fake tensors as a sequence of memory requests, each affine in the batch.

Nothing is computed and nothing image-sized is allocated. The requests of two batch sizes give those of every
batch: each request is an affine function of the batch, and their order does not depend on it.
"""

import gc
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from bench.memory.convolutions import Workspaces, pinned
from bench.memory.fakes import QuickFakeTensorMode, undrawn
from bench.memory.recorder import Note, StepRecorder, section
from bench.memory.rules import CudaAutocast
from bench.records import Precision

TRACED_BATCHES = (2, 4)
STEPS = 2
"""The first step allocates Adam's state; in the second it is alive together with the activations."""


MakeStep = Callable[[int], Callable[[], object]]
"""Builds model, optimiser and data for a batch size; returns what runs one training step of them."""


class TraceError(RuntimeError):
    """The step depends on values, the order of its requests on the batch, or a request is not affine in the batch."""


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
        size: bytes; of hidden memory, the upper bound.
        low: the lower bound in bytes of hidden memory.
        expected: the best guess in bytes of hidden memory.
        phase: of the step; see ``recorder.Note``.
        layer: the layer that it belongs to; see ``recorder.Note``.
        call: "" for a tensor; for hidden memory, the call as JSON: its name, and its arguments, with tensors as {dtype:
            shape} and sizes that depend on the batch as {"batch": [base, slope]}.
    """

    size: Affine
    low: Affine
    expected: Affine
    phase: str
    layer: str
    call: str = ""


@dataclass(frozen=True)
class Trace:
    """Two training steps.

    Attributes:
        requests: every piece of memory, in order of allocation.
        events: (index of the request, whether it is allocated; else it is released), in order.
    """

    requests: tuple[Request, ...]
    events: tuple[tuple[int, bool], ...]


def trace_step(make_step: MakeStep, precision: Precision = "fp32", workspaces: Workspaces = pinned) -> Trace:
    """Trace two training steps at two batch sizes.

    Args:
        make_step: makes the step to trace; called under fake tensors.
        precision: ``bf16`` for a step that runs under the CPU's autocast, in place of CUDA's.
        workspaces: tells what cuDNN takes inside a convolution.

    Raises:
        TraceError: if the step depends on values, two batch sizes don't agree on the order of events, or a size is
            not affine in the batch.
    """
    small, large = (record_step(make_step, batch, precision, workspaces) for batch in TRACED_BATCHES)
    try:
        return _merged(small, large)
    except TraceError:
        # What a process's first step keeps for good, such as torch's caches, exists by now and is in no trace.
        return _merged(record_step(make_step, TRACED_BATCHES[0], precision, workspaces), large)


def _merged(small: StepRecorder, large: StepRecorder) -> Trace:
    """Return the trace from recordings of both batches; errors as for ``trace_step``."""
    events = small.finished_events()
    if events != large.finished_events():
        raise TraceError("the order of allocations depends on the batch size")
    sizes = zip(small.sizes, large.sizes, small.notes, large.notes, strict=True)
    return Trace(tuple(_request(*both) for both in sizes), tuple(events))


def trace_batch(
    make_step: MakeStep, batch: int, precision: Precision = "fp32", workspaces: Workspaces = pinned
) -> Trace:
    """Trace two training steps at one batch size alone; the trace holds for no other. Errors as for ``trace_step``."""
    recorder = record_step(make_step, batch, precision, workspaces)
    requests = (
        Request(Affine(size, 0), Affine(low, 0), Affine(expected, 0), note.phase, note.layer, note.operation)
        for size, note in zip(recorder.sizes, recorder.notes, strict=True)
        for low, expected, _ in (note.taken if note.operation else (size, size, size),)
    )
    return Trace(tuple(requests), tuple(recorder.finished_events()))


def record_step(
    make_step: MakeStep, batch: int, precision: Precision = "fp32", workspaces: Workspaces = pinned
) -> StepRecorder:
    """Record two training steps at one batch size; arguments and errors as for ``trace_step``."""
    fakes = QuickFakeTensorMode()
    recorder = StepRecorder(fakes, workspaces)
    autocast = nullcontext() if precision == "fp32" else CudaAutocast()
    try:
        with _no_cycle_collection(), _no_warning_of_pointers(), fakes, recorder, autocast:
            with section("weights"), undrawn():
                step = make_step(batch)
            with recorder.watching():
                for _ in range(STEPS):
                    step()
            recorder.stop()
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise TraceError(
            f"the training step depends on values ({error.func}), which a trace does not have; a GPU can prove it"
        ) from error
    return recorder


def _request(small: int, large: int, note: Note, other: Note) -> Request:
    if not note.operation:
        size = _affine(small, large)
        return Request(size, size, size, note.phase, note.layer)
    call = json.dumps([note.operation, _affine_dimensions(note.arguments, other.arguments)], separators=(",", ":"))
    low, expected, high = (_affine(*both, hidden=True) for both in zip(note.taken, other.taken, strict=True))
    return Request(high, low, expected, note.phase, note.layer, call)


def _affine(small: int, large: int, *, hidden: bool = False) -> Affine:
    """Return the line through two sizes; a hidden one is an estimate, which may be off by a byte per image."""
    first, second = TRACED_BATCHES
    slope, rest = divmod(large - small, second - first)
    if hidden:
        return Affine(small - slope * first, slope)
    if rest or slope < 0 or small < slope * first:
        raise TraceError(f"a request of {small} and {large} bytes is not affine in the batch, or falls with it")
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


@contextmanager
def _no_warning_of_pointers() -> Iterator[None]:
    """Hide the warning that torch's own attention causes by comparing tensors' addresses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")
        yield


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Release storages by reference count alone, at the same event in every trace."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
