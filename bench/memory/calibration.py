"""Memory of a process beside its tensors: measured constants of a GPU, else documented bounds."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from bench.memory.rules import HANDLE
from bench.memory.trace import Affine, Request
from bench.records import ALLOWANCE_BYTES, GIB, Frozen

Bound = Literal["low", "expected", "high"]
"""Least, best guess, most."""
BOUNDS: tuple[Bound, ...] = get_args(Bound)
FOLDER = Path(__file__).parent / "calibration"
CONTEXT_BOUNDS_BYTES = (int(0.3 * GIB), int(0.75 * GIB))
"""A bare CUDA context takes 300 MB or more; with every library's kernels loaded it stays below this."""


class Calibration(Frozen):
    """Constants of one GPU under one set of versions and flags, measured by ``python -m bench.memory calibrate``.

    Every ``calls`` entry holds (batch, bytes) of one library call, in order of the batch.
    """

    gpu: str
    torch: str
    cuda: str
    cudnn: str
    driver: str
    flags: dict[str, bool | str]
    total_bytes: int = Field(description="memory of the GPU")
    context_bytes: int = Field(description="held by a process beside its allocator, libraries loaded")
    handle_bytes: int = Field(description="cuBLAS's workspace of one handle, which stays")
    calls: dict[str, tuple[tuple[int, int], ...]]

    @property
    def key(self) -> str:
        """Its name: GPU, torch, CUDA and cuDNN."""
        words = f"{self.gpu} torch{self.torch} cuda{self.cuda} cudnn{self.cudnn}".lower()
        return re.sub(r"[^a-z0-9.]+", "-", words.removeprefix("nvidia ")).strip("-")

    def save(self, folder: Path = FOLDER) -> Path:
        """Write it under its key and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.key}.json"
        path.write_text(self.model_dump_json(indent=1) + "\n")
        return path


def calibrations(folder: Path = FOLDER) -> dict[str, Calibration]:
    """Return every stored calibration by its key.

    Raises:
        ValueError: if a file is not a calibration; the message names it.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Calibration.model_validate_json(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is not a calibration: {' '.join(str(error).split())[:200]}") from error
    return found


@dataclass(frozen=True)
class Rules:
    """What is assumed beside the traced tensors.

    Attributes:
        context_bytes: of the process, outside the allocator.
        bound: which of a hidden request's bytes are taken.
        handle_bytes: cuBLAS's workspace of one handle; None takes ``bound`` of it.
        calls: measured (batch, bytes) by call; between two batches, bytes lie on a line.
    """

    context_bytes: int
    bound: Bound
    handle_bytes: int | None = None
    calls: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def size(self, request: Request, batch: int) -> int:
        """Return a request's bytes at a batch size; 0 where nothing is requested."""
        if not request.call:
            return request.size.at(batch)
        if HANDLE in request.call and self.handle_bytes is not None:
            return self.handle_bytes
        if request.call in self.calls:
            return _interpolated(self.calls[request.call], batch)
        affine: Affine = request.size if self.bound == "high" else getattr(request, self.bound)
        return affine.at(batch)


@dataclass(frozen=True)
class RuleSet:
    """A best guess between two bounds."""

    low: Rules
    expected: Rules
    high: Rules


DOCUMENTED = RuleSet(
    low=Rules(CONTEXT_BOUNDS_BYTES[0], "low"),
    expected=Rules(ALLOWANCE_BYTES, "expected"),
    high=Rules(CONTEXT_BOUNDS_BYTES[1], "high"),
)
"""Without a calibration."""


def rule_set(calibration: Calibration | None) -> RuleSet:
    """Return the rules of a calibration; a call that it lacks lies between its bounds."""
    if calibration is None:
        return DOCUMENTED
    low, expected, high = (
        Rules(calibration.context_bytes, bound, calibration.handle_bytes, calibration.calls) for bound in BOUNDS
    )
    return RuleSet(low, expected, high)


def _interpolated(points: Sequence[tuple[int, int]], batch: int) -> int:
    """Return bytes on the line between two measured batches, in proportion beyond the last, rounded up."""
    index = bisect_left(points, (batch, 0))
    if index == len(points):
        last, size = points[-1]
        return -(-size * batch // last)
    above, more = points[index]
    below, less = points[index - 1] if index else (0, more)  # below the first, the first's
    return less - (less - more) * (batch - below) // (above - below)
