"""Answers a memory question without a GPU: the trace of a step, replayed at one batch after another."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeVar

import click

from bench.cli import unknown
from bench.memory.calibration import Bound, Calibration, Rules, calibrations, rule_set
from bench.memory.replay import fits, judge, replay
from bench.memory.search import largest_batch, largest_fitting, next_batch
from bench.memory.traces import TraceKey, count_parameters, trace_of
from bench.record import MemorySpec
from bench.values import MemoryValues, Probe

GUESS_BATCHES = (4, 12)

_Answer = TypeVar("_Answer")


def find_calibration(name: str | None) -> Calibration | None:
    """Return a stored calibration by its key; None for none.

    Raises:
        click.ClickException: if there is none of that name.
    """
    if name is None:
        return None
    known = calibrations()
    if name not in known:
        raise click.ClickException(unknown("calibration", name, known))
    return known[name]


def trace_key(spec: MemorySpec) -> TraceKey:
    """Return what has to be traced for a question."""
    return TraceKey(spec.task, spec.model, spec.image_shape, spec.policy, spec.precision, spec.tf32, spec.channels_last)


def simulate_all(specs: tuple[MemorySpec, ...]) -> dict[MemorySpec, MemoryValues]:
    """Answer questions of one model on one task, which differ in their caps only."""
    parameters = count_parameters(specs[0].task, specs[0].model, specs[0].image_shape)
    return {spec: simulate(spec, parameters) for spec in specs}


def simulated_batch(spec: MemorySpec) -> int:
    """Return the largest batch of a simulation, 0 where not even one image fits."""
    return _largest(spec, "expected")


def simulate(spec: MemorySpec, parameters: tuple[int, int]) -> MemoryValues:
    """Search the largest batch of a simulation, and those of its lower and upper bound.

    Args:
        spec: the question.
        parameters: by the paper's convention, and trainable alone.

    Raises:
        TraceError: if the model cannot be traced.
    """
    batch, probes = largest_batch(_attempt(judge, spec, "expected"), _guess(spec, "expected"))
    sure = _largest(spec, "high")
    possible = _largest(spec, "low")
    judged = tuple(
        probe.model_copy(update={"sure": probe.batch <= sure if probe.fits else probe.batch > possible})
        for probe in probes
    )
    return memory_values(batch, judged, parameters, sure, possible)


def memory_values(
    batch: int,
    probes: tuple[Probe, ...],
    parameters: tuple[int, int],
    sure: int | None = None,
    possible: int | None = None,
) -> MemoryValues:
    """Return a search's outcome as it is stored."""
    tried = {probe.batch: probe for probe in probes}
    best, following = tried.get(batch), tried[next_batch(batch)]
    growth = None
    if best is not None and best.requested_bytes is not None and following.requested_bytes is not None:
        growth = round((following.requested_bytes - best.requested_bytes) / (following.batch - best.batch))
    elif following.batch == 1:
        growth = following.requested_bytes
    return MemoryValues(
        max_batch=batch,
        parameters=parameters[0],
        trainable_parameters=parameters[1],
        peak_bytes=best.peak_bytes if best else None,
        next_peak_bytes=following.peak_bytes,
        bytes_per_image=growth,
        sure_batch=sure,
        possible_batch=possible,
        probes=probes,
    )


def _largest(spec: MemorySpec, bound: Bound) -> int:
    return largest_fitting(_attempt(fits, spec, bound), _guess(spec, bound))


def _attempt(answer: Callable[..., _Answer], spec: MemorySpec, bound: Bound) -> Callable[[int], _Answer]:
    """Return ``judge`` or ``fits`` for one question, to be asked of one batch after another."""
    return partial(
        answer,
        trace_of(trace_key(spec)),
        cap_bytes=spec.cap_bytes,
        rules=_rules(spec.calibration, bound),
        expandable=spec.expandable_segments,
    )


def _guess(spec: MemorySpec, bound: Bound) -> int:
    """Guess the answer from the allocated bytes of two batches: a line through two points."""
    low, slope = _line(trace_key(spec), spec.calibration, bound)
    room = spec.cap_bytes - _rules(spec.calibration, bound).context_bytes
    return max(2 * int((GUESS_BATCHES[0] + (room - low) / slope) / 2), 1)


@lru_cache(maxsize=1024)
def _line(key: TraceKey, calibration: str | None, bound: Bound) -> tuple[int, float]:
    """Return the bytes at the smaller batch, and how fast they grow: every cap asks for the same."""
    first, second = GUESS_BATCHES
    rules = _rules(calibration, bound)
    low, high = (replay(trace_of(key), batch, rules).peak_allocated for batch in GUESS_BATCHES)
    return low, max((high - low) / (second - first), 1.0)


def _rules(calibration: str | None, bound: Bound) -> Rules:
    rules: Rules = getattr(rule_set(find_calibration(calibration)), bound)
    return rules
