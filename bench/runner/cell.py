"""One cell of a study: a question, and the function that answers it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from bench.records import Provenance, Record, Spec, Status
from bench.records.answer import Values
from bench.runner.progress import CellReporter

Measure = Callable[[CellReporter], "Outcome"]
"""Answers a question. It travels to another process: a function of a module, with ``functools.partial``."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        status: see ``Status``.
        values: the answer, None where there is none.
        message: the reason for a missing answer.
        summary: a few words for the progress line.
        again: whether another attempt may end otherwise: after a crash or a time-out, never after a verdict.
    """

    status: Status
    values: Values | None
    message: str = ""
    summary: str = ""
    again: bool = False


@dataclass(frozen=True)
class StudyCell:
    """One question and the function that answers it.

    Attributes:
        spec: the question; its hash is the cell's identity.
        provenance: the environment of the measurement.
        measure: returns the answer; receives a reporter for progress.
        variant: text after the kind and subject of ``spec`` in progress lines.
        lacks: says what a stored record lacks, and how to add it; empty if it is complete.
        apart: whether it is answered in a process of its own, which may crash, hang or run out of memory.
        group: cells of the same group share a process, one after another: they share what is costly to prepare.
    """

    spec: Spec
    provenance: Provenance
    measure: Measure
    variant: str
    lacks: Callable[[Record], str] = lambda stored: ""
    apart: bool = False
    group: Hashable = None

    @property
    def label(self) -> str:
        """What progress lines call the cell."""
        return " ".join((self.spec.kind, *self.spec.subject, self.variant))

    @property
    def simulated(self) -> bool:
        """Whether the answer is the same on every machine, so that several may be sought at once."""
        return self.provenance.threads == 0


def groups_of(cells: Sequence[StudyCell]) -> list[tuple[int, ...]]:
    """Return the places of the cells that share a process, one tuple per group, in order of first appearance."""
    groups: dict[Hashable, tuple[int, ...]] = {}
    for place, cell in enumerate(cells):
        key = ("alone", place) if cell.group is None else ("shared", cell.group)
        groups[key] = (*groups.get(key, ()), place)
    return list(groups.values())


def all_answered(records: Sequence[Record]) -> bool:
    """Whether every cell ended in an answer or in a finding: none in a crash, none in a network without a quality."""
    return all(
        record.status.finished and not (record.status is Status.DIVERGED and record.values is None)
        for record in records
    )
