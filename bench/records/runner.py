"""Runs cells: skips stored ones, records how each ended, and survives a failure of any cell."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import torch

from bench.records.answer import Values
from bench.records.progress import Reporter
from bench.records.question import Spec
from bench.records.record import Provenance, Record, Status
from bench.records.store import ResultStore

if TYPE_CHECKING:  # two seconds, which commands that train nothing need not wait for
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        status: see ``Status``.
        values: the answer, None where there is none.
        message: the reason for a missing answer.
        summary: a few words for the progress line.
    """

    status: Status
    values: Values | None
    message: str = ""
    summary: str = ""


@dataclass(frozen=True)
class StudyCell:
    """One question and the function that answers it.

    Attributes:
        spec: the question; its hash is the cell's identity.
        provenance: the environment of the measurement.
        measure: returns the answer; receives a reporter for progress.
        variant: text after the kind and subject of ``spec`` in progress lines.
        lacks: says what a stored record lacks, and how to add it; empty if it is complete.
    """

    spec: Spec
    provenance: Provenance
    measure: Callable[[Reporter], Outcome]
    variant: str
    lacks: Callable[[Record], str] = lambda stored: ""

    @property
    def label(self) -> str:
        """What progress lines call the cell."""
        return " ".join((self.spec.kind, *self.spec.subject, self.variant))


def run_cells(
    cells: Sequence[StudyCell], store: ResultStore, *, force: bool = False, fabric: "Fabric | None" = None
) -> list[Record]:
    """Answer every cell, from the store where it is finished there.

    An exception inside a cell becomes a record with a status and a message. An interrupt is passed on;
    finished cells are stored by then and the store is whole.

    Args:
        cells: what to measure.
        store: where records go.
        force: measure again what is finished.
        fabric: the processes that answer every cell together. The first one stores and reports, and an exception
            ends them all: the others would wait for the one that failed for ever.

    Returns:
        One record a cell, in order.
    """
    records = []
    leads, alone = (fabric is None or fabric.is_global_zero), (fabric is None or fabric.world_size == 1)
    with Reporter(len(cells), stream=None if leads else io.StringIO()).live() as reporter:
        for cell in cells:
            reporter.start(cell.label)
            stored = None if force else store.finished(cell.spec, cell.provenance)
            if stored is not None:
                reporter.finish(", ".join(filter(None, ("stored already", cell.lacks(stored)))))
                records.append(stored)
                continue
            started = time.monotonic()
            outcome = _measure(cell, reporter) if alone else cell.measure(reporter)
            record = Record(
                spec=cell.spec,
                status=outcome.status,
                values=outcome.values,
                message=outcome.message,
                provenance=cell.provenance.model_copy(update={"created": datetime.now(timezone.utc)}),
            )
            if leads:
                store.add(record)
            records.append(record)
            summary = outcome.summary or outcome.message or outcome.status.value
            reporter.finish(f"{summary}, {time.monotonic() - started:.1f} s")
    return records


def all_answered(records: Sequence[Record]) -> bool:
    """Whether every cell ended in an answer or in a finding: none in a crash, none in a network without a quality."""
    return all(
        record.status.finished and not (record.status is Status.DIVERGED and record.values is None)
        for record in records
    )


def _measure(cell: StudyCell, reporter: Reporter) -> Outcome:
    try:
        return cell.measure(reporter)
    except (torch.OutOfMemoryError, MemoryError) as error:
        return Outcome(Status.OUT_OF_MEMORY, None, _one_line(error))
    except Exception as error:
        return Outcome(Status.FAILED, None, f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
