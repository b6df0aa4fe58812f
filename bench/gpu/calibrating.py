"""Part 2: this GPU's memory use besides tensors, at few batches, for the calls of Table 3's traces."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.gpu.site import Site, Work
from bench.memory.calibrate import (
    SPREAD_BATCHES,
    arguments_at,
    handle_bytes,
    library_calls,
    measure_call,
    versions,
)
from bench.memory.calibration import Calibration
from bench.memory.cuda import context_alone
from bench.memory.steps import take
from bench.records import ALLOWANCE_BYTES
from bench.records.kernels import libraries

CALL_S = 1.0
"""The most that one call takes at the largest batch, its tensors included."""
MEASURED = ("context", "handle", "versions")
"""Names of the figures that do not belong to a call."""


def calibration_file(site: Site) -> Path | None:
    """Return the file of the calibration that a run has made, None where there is none yet."""
    return next(iter(sorted(site.calibrations.glob("*.json"))), None)


def calibrate(work: Work) -> None:
    """Measure the figures of part 2, and store the calibration of as many calls as time allows."""
    calls = library_calls(work.site.traced)
    rehearsed = work.site.rehearse
    # This comes before this process has a context: no other process may have one.
    work.once("context", lambda: ALLOWANCE_BYTES if rehearsed else _context(work), 5)
    if not rehearsed:
        take(work.device)
    work.once("versions", lambda: _rehearsed_versions() if rehearsed else versions(work.device))
    work.once("handle", lambda: 0 if rehearsed else handle_bytes(work.device))
    measure = _rehearsed_call if rehearsed else measure_call
    try:
        for call in calls:
            work.once(call, partial(measure, call, work.device, SPREAD_BATCHES), CALL_S)
    finally:
        _store(work, calls)


def _context(work: Work) -> int:
    return context_alone(work.site.traced[0], work.device)


def _store(work: Work, calls: list[str]) -> None:
    known = work.ledger.figures
    if not all(name in known for name in MEASURED):
        return
    points = {call: tuple(map(tuple, known[call])) for call in calls if known.get(call)}
    found = Calibration(context_bytes=known["context"], handle_bytes=known["handle"], calls=points, **known["versions"])
    found.save(work.site.calibrations)


def _rehearsed_call(call: str, device: torch.device, batches: tuple[int, ...]) -> list[tuple[int, int]]:
    """Call the operation once where the CPU has it, and return zero bytes for every batch."""
    operation, arguments = arguments_at(call, 1, device)
    if "native_batch_norm_backward" not in json.loads(call)[0]:
        with torch.no_grad():
            operation(*arguments)
    return [(batch, 0) for batch in batches]


def _rehearsed_versions() -> dict[str, Any]:
    return {"gpu": "rehearsal on a CPU", "torch": torch.__version__, "driver": "none", "total_bytes": 0, **libraries()}
