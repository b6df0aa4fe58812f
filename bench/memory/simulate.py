"""Answers a memory question without a GPU: replays a step's trace at one batch after another."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

import click

from bench.cli import unknown
from bench.memory.calibration import Bound, Calibration, Rules, calibrations, rule_set
from bench.memory.replay import CONVOLUTION, fits, judge, replay
from bench.memory.search import ANY, EVEN, Candidates, largest_batch, largest_fitting
from bench.memory.traces import AnyKey, StepKey, TraceKey, count_parameters, trace_of
from bench.records import FitSpec, MemoryValues, Probe, StepSpec, StepValues

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


def trace_key(spec: FitSpec) -> AnyKey:
    """Return what has to be traced for a question."""
    if isinstance(spec, StepSpec):
        return StepKey(spec.step, spec.code, spec.precision, spec.tf32)
    return TraceKey(spec.task, spec.model, spec.image_shape, spec.policy, spec.precision, spec.tf32, spec.channels_last)


def parameters_of(spec: FitSpec) -> tuple[int, int] | None:
    """Return the result of ``count_parameters``; None for a user's own step, whose model is unknown."""
    return None if isinstance(spec, StepSpec) else count_parameters(spec.task, spec.model, spec.image_shape)


def simulated_batch(spec: FitSpec) -> int:
    """Return the largest batch of a simulation, 0 where not even one image fits."""
    return _largest(spec, "expected")


def simulate(spec: FitSpec, parameters: tuple[int, int] | None) -> MemoryValues | StepValues:
    """Find the largest batch of a simulation, and those by its lower and upper bounds.

    Args:
        spec: the question.
        parameters: as from ``parameters_of``.

    Raises:
        TraceError: if the step cannot be traced.
    """
    batch, probes = largest_batch(_attempt(judge, spec, "expected"), _guess(spec, "expected"), candidates_of(spec))
    sure = min(_largest(spec, "high"), batch)  # fragments may favour the larger requests
    possible = max(_largest(spec, "low"), batch)
    judged = tuple(
        probe.model_copy(update={"sure": probe.batch <= sure if probe.fits else probe.batch > possible})
        for probe in probes
    )
    found = fit_values(batch, judged, parameters, sure, possible)
    if not _has_workspaces(trace_key(spec)):
        return found
    slower = largest_fitting(_attempt(partial(fits, slower=True), spec, "expected"), batch, candidates_of(spec))
    return found.model_copy(update={"slower_batch": slower})


@lru_cache(maxsize=64)
def _has_workspaces(key: AnyKey) -> bool:
    """Whether a convolution takes memory that grows with the batch, by the best guess."""
    return any(request.call.startswith(CONVOLUTION) and request.expected.slope for request in trace_of(key).requests)


def candidates_of(spec: FitSpec) -> Candidates:
    """Return the batches that may be a question's answer."""
    return ANY if isinstance(spec, StepSpec) and spec.any_batch else EVEN


def fit_values(
    batch: int,
    probes: tuple[Probe, ...],
    parameters: tuple[int, int] | None,
    sure: int | None = None,
    possible: int | None = None,
) -> MemoryValues | StepValues:
    """Return a search's outcome in the form that is stored."""
    tried = {probe.batch: probe for probe in probes}
    best, following = tried.get(batch), min((probe for probe in probes if probe.batch > batch), key=lambda p: p.batch)
    growth = None
    if best is not None and best.requested_bytes is not None and following.requested_bytes is not None:
        growth = round((following.requested_bytes - best.requested_bytes) / (following.batch - best.batch))
    elif following.batch == 1:
        growth = following.requested_bytes
    found: dict[str, Any] = dict(
        max_batch=batch,
        peak_bytes=best.peak_bytes if best else None,
        next_peak_bytes=following.peak_bytes,
        bytes_per_image=growth,
        sure_batch=sure,
        possible_batch=possible,
        probes=probes,
    )
    if parameters is None:
        return StepValues(**found)
    return MemoryValues(parameters=parameters[0], trainable_parameters=parameters[1], **found)


def _largest(spec: FitSpec, bound: Bound) -> int:
    return largest_fitting(_attempt(fits, spec, bound), _guess(spec, bound), candidates_of(spec))


def _attempt(answer: Callable[..., _Answer], spec: FitSpec, bound: Bound) -> Callable[[int], _Answer]:
    """Return ``judge`` or ``fits`` of one question as a function of the batch."""
    return partial(
        answer,
        trace_of(trace_key(spec)),
        cap_bytes=spec.cap_bytes,
        rules=_rules(spec.calibration, bound),
        expandable=spec.expandable_segments,
    )


def _guess(spec: FitSpec, bound: Bound) -> int:
    """Guess the answer from the allocated bytes of two batches: a line through two points."""
    low, slope = _line(trace_key(spec), spec.calibration, bound)
    room = spec.cap_bytes - _rules(spec.calibration, bound).context_bytes
    return max(2 * int((GUESS_BATCHES[0] + (room - low) / slope) / 2), 1)


@lru_cache(maxsize=1024)
def _line(key: AnyKey, calibration: str | None, bound: Bound) -> tuple[int, float]:
    """Return the bytes at the smaller batch and their growth per image; both serve every cap."""
    first, second = GUESS_BATCHES
    rules = _rules(calibration, bound)
    low, high = (replay(trace_of(key), batch, rules).peak_allocated for batch in GUESS_BATCHES)
    return low, max((high - low) / (second - first), 1.0)


def _rules(calibration: str | None, bound: Bound) -> Rules:
    rules: Rules = getattr(rule_set(find_calibration(calibration)), bound)
    return rules
