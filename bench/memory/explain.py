"""``python -m bench.memory --explain FOLDER``: memory of a training step, layer by layer."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click
import numpy as np
from matplotlib import style
from numpy.typing import NDArray

from bench.memory.calibration import rule_set
from bench.memory.replay import course, fits
from bench.memory.simulate import find_calibration, trace_key
from bench.memory.trace import Trace
from bench.memory.traces import trace_of
from bench.records import GIB, FitSpec, FitValues, MemorySpec, Record, StepSpec
from bench.report.drawing.files import save_figure
from bench.report.drawing.style import STYLE
from bench.report.figures.memory_timeline import FIXED, LAST, Timeline, timeline_figure
from bench.tasks import TASKS

MOST_LAYERS = 8


def explain_records(records: Sequence[Record], folder: Path) -> None:
    """Draw the simulated step of every answered cell at its largest batch, or at batch 1 where none fits."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        spec, values = record.spec, record.values
        if isinstance(spec, MemorySpec | StepSpec) and isinstance(values, FitValues):
            of_model = f"{spec.task}-{spec.model}-{spec.policy}" if isinstance(spec, MemorySpec) else spec.step
            name = f"{of_model}-{spec.precision}-{spec.cap_bytes / GIB:g}GB.png"
            path = folder / name.replace(":", ".")
            with style.context(["default", STYLE]):
                save_figure(path, timeline_figure(timeline(spec, max(values.max_batch, 1))))
            click.echo(f"explained in {path}", err=True)


def timeline(spec: FitSpec, batch: int) -> Timeline:
    """Replay the second of two traced steps and return the bytes held after every event.

    A batch that fits is replayed under the cap, where the allocator releases memory near it; any other without a cap.

    Args:
        spec: the question.
        batch: images per step.
    """
    trace, rules = trace_of(trace_key(spec)), rule_set(find_calibration(spec.calibration)).expected
    expandable = spec.expandable_segments
    fitting = fits(trace, batch, spec.cap_bytes, rules, expandable=expandable)
    limit = spec.cap_bytes - rules.context_bytes if fitting else None
    start = _second_step(trace)
    names = _names(trace)
    layers = [name for name in dict.fromkeys(names) if name not in FIXED and name not in LAST]  # as they compute
    live = dict.fromkeys([*FIXED, *layers, *LAST], 0)
    live["CUDA context"] = rules.context_bytes
    rows: list[tuple[int, ...]] = []
    phases: list[str] = []
    for index, allocator in course(trace, batch, rules, limit, expandable=expandable):
        number, birth = trace.events[index]
        request = trace.requests[number]
        live[names[number]] += rules.size(request, batch) * (1 if birth else -1)
        if index >= start:
            figures = allocator.statistics()
            live["rounding, free blocks"] = figures.reserved - figures.requested
            rows.append(tuple(live.values()))
            phases.append(request.phase if birth else phases[-1] if phases else "forward")
    return Timeline(_title(spec, batch), _columns(list(live), rows), _runs(phases), spec.cap_bytes)


def _columns(names: list[str], rows: Sequence[tuple[int, ...]]) -> dict[str, NDArray[np.int64]]:
    """Return every name's course; names that never hold anything are left out."""
    table = np.array(rows, dtype=np.int64)
    return {name: table[:, place] for place, name in enumerate(names) if table[:, place].any()}


def _title(spec: FitSpec, batch: int) -> str:
    if isinstance(spec, StepSpec):
        return f"{spec.step}, {spec.precision}; batch {batch}, simulated"
    height, width = spec.image_shape
    what = f"{spec.model}, {spec.policy}, {spec.precision}; {TASKS[spec.task].title} {height} x {width}"
    return f"{what}; batch {batch}, simulated"


def _second_step(trace: Trace) -> int:
    """Return where the first event after the first step's optimiser is; the first of all where a step has none."""
    phases = [trace.requests[number].phase if birth else "" for number, birth in trace.events]
    if "optimiser" not in phases:
        return 0
    first = phases.index("optimiser")
    return next((i for i in range(first, len(phases)) if phases[i] == "forward"), first)


def _names(trace: Trace) -> list[str]:
    """Return every request's group: layers by as many parts of their names as give eight groups at most."""
    layers = [request.layer for request in trace.requests]
    for depth in (3, 2, 1):
        names = [_short(layer, depth) for layer in layers]
        if len(set(names) - set(FIXED) - set(LAST)) <= MOST_LAYERS:
            return names
    return names


def _short(layer: str, depth: int) -> str:
    if layer in FIXED or layer in LAST:
        return layer
    return ".".join(layer.split(".")[:depth])


def _runs(phases: Sequence[str]) -> tuple[tuple[str, int], ...]:
    found, start = [], 0
    for name, run in groupby(phases):
        found.append((name, start))
        start += len(list(run))
    return tuple(found)
