"""Runs cells: skips stored ones, answers the others, and stores each answer as soon as it is known."""

import io
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import click

from bench.records import Record
from bench.records.store import ResultStore, StoreError
from bench.runner.apart import Errand, Surroundings, answers
from bench.runner.attempt import attempt
from bench.runner.cell import Outcome, StudyCell, groups_of
from bench.runner.forked import ForkServer, Stopped
from bench.runner.progress import Reporter, RunningCell
from bench.runner.running import Running
from bench.runner.team import alone, leads


def run_cells(cells: Sequence[StudyCell], store: ResultStore, running: Running | None = None) -> list[Record]:
    """Answer every cell, from the store where it is finished there.

    A failure inside a cell becomes a record with a status and a message. An interrupt is passed on; finished cells are
    stored by then and the store is whole.

    Args:
        cells: what to measure. Under torchrun all processes answer every cell together; the first one stores and
            reports, and an exception ends them all: the others would wait for the one that failed for ever.
        store: where records go.
        running: how.

    Returns:
        One record per cell, in order.

    Raises:
        click.ClickException: if the store takes no records, before anything is measured, or a record cannot be stored;
            the message then names the file in which it is kept.
    """
    return _Run(cells, store, running or Running()).run()


class _Run:
    def __init__(self, cells: Sequence[StudyCell], store: ResultStore, running: Running) -> None:
        self.cells, self.store, self.running = cells, store, running
        self.reporter = Reporter(len(cells), stream=None if leads() else io.StringIO())
        self.found: dict[int, Record] = {}

    def run(self) -> list[Record]:
        with self.reporter.live():
            places = [place for place, cell in enumerate(self.cells) if not self._stored(place, cell)]
            if places and leads():
                _check_writable(self.store)
            apart = [place for place in places if self._is_apart(self.cells[place])]
            for simulated in (True, False):
                groups = self._groups([place for place in apart if self.cells[place].simulated is simulated])
                self._run_apart(groups, (os.cpu_count() or 1) if simulated else self.running.jobs)
            for place in places:
                if not self._is_apart(self.cells[place]):
                    self._run_here(place)
        return [self.found[place] for place in range(len(self.cells))]

    def _is_apart(self, cell: StudyCell) -> bool:
        return cell.apart and self.running.apart and alone()

    def _stored(self, place: int, cell: StudyCell) -> bool:
        record = None if self.running.force else self.store.finished(cell.spec, cell.provenance)
        if record is None:
            return False
        self.found[place] = record
        self.reporter.begin(cell.label).finish(
            ", ".join(filter(None, ("stored already", cell.lacks(record)))), measured=False
        )
        return True

    def _groups(self, places: Sequence[int]) -> list[list[int]]:
        """Cells that share a process. Simulated ones: the last group first, for registries list small models first."""
        chosen = [self.cells[place] for place in places]
        found = [[places[number] for number in group] for group in groups_of(chosen)]
        return found[::-1] if found and self.cells[found[0][0]].simulated else found

    def _run_here(self, place: int) -> None:
        cell = self.cells[place]
        running, started = self.reporter.begin(cell.label), time.monotonic()
        outcome = attempt(cell.measure, running) if alone() else cell.measure(running)
        self._keep(place, outcome, running, started)

    def _run_apart(self, groups: list[list[int]], jobs: int) -> None:
        if not groups:
            return
        server = ForkServer(sorted({_module(self.cells[place]) for group in groups for place in group}))
        slots = list(range(min(jobs, len(groups))))
        lock = threading.Lock()

        def answer(group: list[int]) -> None:
            with lock:
                slot = slots.pop(0)
            self._answer_group(group, server, slot)
            with lock:
                slots.append(slot)

        with ThreadPoolExecutor(len(slots)) as pool:
            futures = [pool.submit(answer, group) for group in groups]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                server.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _answer_group(self, group: list[int], server: ForkServer, slot: int) -> None:
        cells = [self.cells[place] for place in group]
        errands = [
            Errand(cell.measure, self.store.path_of(cell.spec, cell.provenance).with_suffix(".log")) for cell in cells
        ]
        first = cells[0]
        surroundings = Surroundings(
            threads=first.provenance.threads or 1,
            environment=os.environ | (_visible(slot) if self.running.jobs > 1 and not first.simulated else {}),
            memory_bytes=self.running.limits.memory_bytes,
        )
        current, started = _Current(self.reporter.begin(first.label)), time.monotonic()
        with suppress(Stopped):
            outcomes = answers(errands, current, server, self.running.limits, surroundings)
            for number, (place, outcome) in enumerate(zip(group, outcomes, strict=True), start=1):
                self._keep(place, outcome, current.cell, started)
                if number < len(group):
                    current.cell, started = self.reporter.begin(cells[number].label), time.monotonic()

    def _keep(self, place: int, outcome: Outcome, running: RunningCell, started: float) -> None:
        cell = self.cells[place]
        record = Record(
            spec=cell.spec,
            status=outcome.status,
            values=outcome.values,
            message=outcome.message,
            provenance=cell.provenance.model_copy(update={"created": datetime.now(timezone.utc)}),
        )
        if leads():
            _add(self.store, record)
        self.found[place] = record
        summary = outcome.summary or outcome.message or outcome.status.value
        seconds = time.monotonic() - started
        running.finish(f"{summary}, {seconds:.1f} s", failed=not record.status.finished)


@dataclass
class _Current:
    """The cell of a group whose turn it is."""

    cell: RunningCell

    def detail(self, text: str) -> None:
        self.cell.detail(text)


def _module(cell: StudyCell) -> str:
    measure = cell.measure.func if isinstance(cell.measure, partial) else cell.measure
    return measure.__module__


def _visible(slot: int) -> dict[str, str]:
    """Give every job a GPU of its own, before it touches one."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed else None
    return {"CUDA_VISIBLE_DEVICES": str(slot) if names is None else names[slot % len(names)]}


def _check_writable(store: ResultStore) -> None:
    try:
        store.check_writable()
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _add(store: ResultStore, record: Record) -> None:
    try:
        store.add(record)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
