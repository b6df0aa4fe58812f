"""The records that Table 4 compares: of every kind, one device, image size and batch per task."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bench.records import Policy
from bench.records.paper import Paper
from bench.report.drawing.layout import listing, shape_text
from bench.report.selection.accuracy import Study
from bench.report.selection.records import CallsEntry, MemoryEntry, Records, TimingEntry, dominant
from bench.report.tables.table3 import is_table3, means_of

CostEntry = TimingEntry | CallsEntry | MemoryEntry
C = TypeVar("C", bound=CostEntry)


@dataclass(frozen=True)
class Comparison:
    """What Table 4 draws on; timing comes from the one device with most cells, so that columns compare."""

    records: Records
    study: Study | None
    paper: Paper

    @property
    def models(self) -> list[str]:
        """The paper's models, then the user's own."""
        known = [model.key for model in self.paper.models]
        return known + sorted({entry.spec.model for entry in self.records.of_models} - set(known))

    @property
    def families(self) -> list[tuple[str, int]]:
        """Return the paper's (architecture, number of its models)."""
        members = [model.family for model in self.paper.models]
        return [(family, members.count(family)) for family in dict.fromkeys(members)]

    @property
    def timing(self) -> list[TimingEntry]:
        """Timings of one device, each task at one image size; the larger where the choice is open."""
        one_device = dominant(self.records.timing, lambda entry: entry.provenance.device, cell_of, _pixels)
        return _per_task(one_device, _size)

    @property
    def calls(self) -> list[CallsEntry]:
        """Operator calls under the paper's policy, each task after the same training."""
        entries = [entry for entry in self.records.calls if entry.spec.policy == "paper"]
        return _per_task(entries, counting_of)

    def tasks(self, entries: Iterable[CostEntry]) -> list[str]:
        """Return the tasks of some entries, and one of each of Table 3's blocks that they lack."""
        return self.paper.covering({entry.spec.task for entry in entries})

    def timing_row(self, task: str, policy: Policy, rule: str) -> list[TimingEntry]:
        """Return the timings that share a line: at the batch, or the cap, that most models have."""
        alike = [entry for entry in self.timing if entry.spec.task == task and entry.spec.policy == policy]
        alike = [entry for entry in alike if entry.spec.batch_rule == rule]
        common = rule == "common"
        return dominant(alike, lambda entry: entry.spec.batch if common else entry.spec.cap_bytes, cell_of)

    def memory_row(self, task: str, policy: Policy) -> list[MemoryEntry]:
        """Return the memory records that share a line: full precision, one image size, one means, the largest cap."""
        alike = [entry for entry in self.records.memory if entry.spec.task == task and is_table3(entry)]
        alike = [entry for entry in alike if entry.spec.policy == policy]
        alike = dominant(dominant(alike, _size, cell_of, _pixels), means_of, cell_of)
        cap = max((entry.spec.cap_bytes for entry in alike), default=0)
        return [entry for entry in alike if entry.spec.cap_bytes == cap]


def cell_of(entry: CostEntry) -> tuple[str, str]:
    """Return the task and model of an entry."""
    return entry.spec.task, entry.spec.model


def sizes_text(shapes: Mapping[str, tuple[int, int]], paper: Paper) -> str:
    """Say at what image size tasks were measured, as briefly as their sizes allow.

    Args:
        shapes: task -> height and width.
        paper: order and titles.
    """
    texts = {task: shape_text(shapes[task]) for task in paper.in_order(shapes)}
    if len(set(texts.values())) == 1:
        return f"at {listing(texts.values())} pixels"
    sizes = listing(f"{text} ({paper.task_title(task)})" for task, text in texts.items())
    return f"at {sizes} pixels"


def counting_of(entry: CallsEntry) -> tuple[tuple[int, int], int, int]:
    """Return what operator calls were counted on: image size, batch and training steps before."""
    return entry.spec.image_shape, entry.spec.batch, entry.spec.training_steps


def _size(entry: TimingEntry | MemoryEntry) -> tuple[int, int]:
    return entry.spec.image_shape


def _pixels(entry: CostEntry) -> int:
    return entry.spec.image_shape[0] * entry.spec.image_shape[1]


def _per_task(entries: Iterable[C], key: Callable[[C], Hashable]) -> list[C]:
    members = list(entries)
    kept: list[C] = []
    for task in sorted({entry.spec.task for entry in members}):
        of_task = [entry for entry in members if entry.spec.task == task]
        kept += dominant(of_task, key, cell_of, _pixels)
    return kept
