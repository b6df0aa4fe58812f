"""The folder, device and questions of a run, and the working context of each part."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import torch

from bench.gpu.budget import Budget
from bench.gpu.ledger import Ledger
from bench.memory.cells import TABLE3_CAPS_BYTES, TABLE3_TASKS
from bench.memory.options import MemoryQuestion
from bench.memory.questions import memory_specs
from bench.records import ALLOWANCE_BYTES, MIB, MemorySpec, Policy
from bench.records.environment import pick_device
from bench.records.store import ResultStore
from bench.tasks import TASKS

PROVED: tuple[tuple[str, Policy], ...] = (
    ("luser-sw", "paper"),
    ("luser-dw", "paper"),
    ("deq4ip", "paper"),
    ("lu-dncnn", "paper"),
    ("luser-sw", "recompute"),
    ("lu-dncnn", "recompute"),
    ("luser-dw", "recompute"),
    ("deq4ip", "recompute"),
)
"""Models and policies of Table 3, the most wanted first: the paper's rows, then the same models with recomputing; the
last two need as much memory as their neighbours or as under the paper's policy."""
REHEARSED_SHAPE = (16, 16)


@dataclass(frozen=True)
class Site:
    """Folder, device and questions of a run; the parts' processes receive it.

    Attributes:
        folder: holds everything that is written.
        device: ``cuda``, ``cuda:1``, ... or, in a rehearsal, ``cpu``.
        rehearse: whether everything is tiny and on the CPU, and nothing is stored as measured.
        sources: task -> folder of real images.
        archives: folder that every archive is copied to, and nothing else.
    """

    folder: Path
    device: str
    rehearse: bool = False
    sources: Mapping[str, Path] = field(default_factory=dict)
    archives: Path | None = None

    @property
    def results(self) -> Path:
        """Folder of the records; copied into ``results/`` they equal those that any command stores there."""
        return self.folder / ("rehearsal" if self.rehearse else "results")

    @property
    def calibrations(self) -> Path:
        """Folder of the calibration; a rehearsed one is never taken for a GPU's."""
        return self.folder / ("rehearsed-calibration" if self.rehearse else "calibration")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks whose memory and times are measured."""
        return ("deblur",) if self.rehearse else TABLE3_TASKS

    @property
    def proved(self) -> tuple[tuple[str, Policy], ...]:
        """Models and policies whose memory is proved, in order."""
        return PROVED[:1] + PROVED[3:4] if self.rehearse else PROVED

    @property
    def caps(self) -> tuple[int, ...]:
        """Caps of Table 3 in bytes."""
        return (ALLOWANCE_BYTES + 64 * MIB, ALLOWANCE_BYTES + 128 * MIB) if self.rehearse else TABLE3_CAPS_BYTES

    def image_shape(self, task: str) -> tuple[int, int]:
        """Return (H, W) in pixels: the paper's of a task, tiny in a rehearsal."""
        return REHEARSED_SHAPE if self.rehearse else TASKS[task].image_shape

    def specs(self, model: str, policy: Policy, task: str) -> list[MemorySpec]:
        """Return Table 3's questions about a model, one per cap, the largest cap first."""
        question = MemoryQuestion(image_shape=REHEARSED_SHAPE if self.rehearse else None)
        caps = sorted(self.caps, reverse=True)
        return memory_specs([task], [model], [policy], caps, "simulate" if self.rehearse else "cuda", question)

    @property
    def traced(self) -> list[MemorySpec]:
        """One question per trace that is needed, in the order of need."""
        return [self.specs(model, policy, task)[0] for model, policy in self.proved for task in self.tasks]


@dataclass(frozen=True)
class Work:
    """What a part works with, in its own process.

    Attributes:
        site: see there.
        budget: its time.
        ledger: its results.
    """

    site: Site
    budget: Budget
    ledger: Ledger

    @cached_property
    def device(self) -> torch.device:
        """Where it runs."""
        return pick_device(self.site.device)

    @cached_property
    def store(self) -> ResultStore:
        """Where its records go."""
        return ResultStore(self.site.results)

    def once(self, name: str, find: Callable[[], Any], seconds: float = 0.0) -> Any:
        """Measure a figure unless it is known, and store it; failures are logged.

        Args:
            name: of the figure.
            find: measures the figure; returns it in terms of JSON.
            seconds: the time that it may take.

        Returns:
            The figure; None where measuring it failed.

        Raises:
            OutOfTime: if there is no time for it.
        """
        if name in self.ledger.figures:
            return self.ledger.figures[name]
        self.budget.need(seconds)
        try:
            figure = find()
        except Exception as error:
            traceback.print_exc()
            self.ledger.fail(name, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
            return None
        self.ledger.put(name, figure)
        click.echo(f"{name[:160]}: {figure}"[:400])
        return figure
