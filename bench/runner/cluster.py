"""Answers cells in jobs: sends them, follows them, sends those again that ended without an answer."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import click
from rich.table import Table

from bench.records import Record, Status
from bench.records.store import ResultStore, StoreError
from bench.runner.apart import RETRIES
from bench.runner.cell import StudyCell, groups_of
from bench.runner.executors import Executor, Place, SentJob, make_executor
from bench.runner.part import Command, Job, Part
from bench.runner.profile import Profile
from bench.runner.progress import PLAIN_INTERVAL_S, Reporter, RunningCell

POLL_S = 2.0
GRACE_S = 10.0
"""Seconds in which a file of a job that has ended shows up here: shared folders are slow to tell."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the jobs of a command run.

    Attributes:
        place: ``slurm`` or ``local``.
        profile: what a job asks for.
    """

    place: Place
    profile: Profile


def run_on_cluster(cells: Sequence[StudyCell], store: ResultStore, cluster: Cluster) -> list[Record]:
    """Answer cells in jobs that run the current command again, one job per group of cells.

    Args:
        cells: as this machine makes them; those of the jobs may differ in device and precision.
        store: every machine sees its folder.
        cluster: where the jobs run.

    Returns:
        The jobs' records in order. A cell whose job never answered has a record of its failure, which is not stored.

    Raises:
        click.ClickException: if jobs cannot be sent, or the command is refused where they run.
    """
    since = datetime.now(timezone.utc)
    root = store.root.absolute()
    folder = root / "cluster" / since.strftime("%Y%m%d-%H%M%S-%f")
    command = Command.current()
    executor = make_executor(cluster.place, folder, cluster.profile)
    parts = [
        Part(places=places, total=len(cells), results=root, since=since, answers=folder / f"cells-{number}.json")
        for number, places in enumerate(groups_of(cells))
    ]
    errands = [_Errand(Job(command, part), _label(cells, part)) for part in parts]
    return _Watch(cells, store, executor, errands).records()


def jobs_table(cells: Sequence[StudyCell]) -> Table:
    """Lay out what every job would answer."""
    groups = groups_of(cells)
    table = Table("job", "cells", title=f"{len(cells)} cells in {len(groups)} jobs; stored ones are skipped")
    for number, places in enumerate(groups):
        table.add_row(str(number), ", ".join(cells[place].label for place in places))
    return table


def _label(cells: Sequence[StudyCell], part: Part) -> str:
    first, more = cells[part.places[0]].label, len(part.places) - 1
    return first + (f" and {more} more" if more else "")


@dataclass
class _Errand:
    """A job, from the first attempt to the last."""

    job: Job
    label: str
    attempts: int = 0
    sent: SentJob | None = None
    line: RunningCell | None = None
    gone_s: float | None = None
    """When the scheduler no longer knew it."""


@dataclass
class _Watch:
    cells: Sequence[StudyCell]
    store: ResultStore
    executor: Executor
    waiting: list[_Errand]
    out: list[_Errand] = field(default_factory=list)
    found: dict[int, Record] = field(default_factory=dict)
    told: tuple[str, float] = ("", -PLAIN_INTERVAL_S)

    def __post_init__(self) -> None:
        self.reporter = Reporter(len(self.waiting))

    def records(self) -> list[Record]:
        with self.reporter.live():
            try:
                while self.waiting or self.out:
                    self._send()
                    self._look()
                    if self.waiting or self.out:
                        time.sleep(POLL_S)
            except BaseException:
                self._cancel()
                raise
        return [self.found[place] for place in sorted(self.found)]

    def _send(self) -> None:
        limit = self.executor.at_once
        free = len(self.waiting) if limit is None else limit - len(self.out)
        now, self.waiting = self.waiting[:free], self.waiting[max(free, 0) :]
        if not now:
            return
        for errand, sent in zip(now, self.executor.send([errand.job for errand in now]), strict=True):
            errand.sent, errand.attempts, errand.gone_s = sent, errand.attempts + 1, None
        self.out += now

    def _look(self) -> None:
        states = self.executor.states([errand.sent for errand in self.out if errand.sent])
        if states is None:
            self._tell("the scheduler does not answer; asking again")
            return
        reasons: dict[str, int] = {}
        for errand in list(self.out):
            assert errand.sent is not None
            state = states.get(errand.sent.job_id)
            if state is None:
                self._end(errand)
            elif state == "running":
                errand.line = errand.line or self.reporter.begin(errand.label)
                errand.line.text = f"job {errand.sent.job_id} is running"
            else:
                reasons[state] = reasons.get(state, 0) + 1
                if errand.line is not None:
                    errand.line.text = "queued again"
        self._tell(self._counts(reasons))

    def _counts(self, reasons: dict[str, int]) -> str:
        pending = sum(reasons.values())
        why = f" ({', '.join(filter(None, sorted(reasons)))})" if any(reasons) else ""
        running, ended, failed = len(self.out) - pending, self.reporter.done, self.reporter.failed
        return (
            f"jobs: {pending + len(self.waiting)} pending{why}, {running} running, {ended - failed} done, "
            f"{failed} failed"
        )

    def _tell(self, text: str) -> None:
        if text != self.told[0] and time.monotonic() - self.told[1] >= PLAIN_INTERVAL_S:
            self.told = text, time.monotonic()
            self.reporter.line(text)

    def _end(self, errand: _Errand) -> None:
        """Read a job's answers; without them it is sent again, or has failed."""
        assert errand.sent is not None
        answers = errand.job.part.answers
        errand.gone_s = errand.gone_s or time.monotonic()
        if not answers.is_file() and time.monotonic() - errand.gone_s < GRACE_S:
            return
        self.out.remove(errand)
        if answers.is_file():
            self._read(errand, answers)
            return
        log = Path(errand.sent.paths.stderr)
        lost = f"job {errand.sent.job_id} ended without an answer"
        if errand.attempts <= RETRIES:
            self.reporter.line(f"{errand.label}: {lost}, sent again; see {log}")
            self.waiting.append(errand)
        else:
            message = f"{lost}; {errand.attempts} attempts; see {log}"
            self._close(errand, {place: _failure(self.cells[place], message) for place in errand.job.part.places})

    def _read(self, errand: _Errand, answers: Path) -> None:
        content = json.loads(answers.read_text())
        if "refused" in content:
            raise click.ClickException(f"{errand.label}: {content['refused']}")
        files = {int(place): self.store.root / name for place, name in content["records"].items()}
        self._close(errand, {place: self._record(place, path) for place, path in files.items()})

    def _record(self, place: int, path: Path) -> Record:
        try:
            return self.store.read(path)
        except (OSError, StoreError) as error:
            return _failure(self.cells[place], str(error))

    def _close(self, errand: _Errand, records: dict[int, Record]) -> None:
        self.found |= records
        line = errand.line or self.reporter.begin(errand.label)
        messages = [record.message for record in records.values() if not record.status.finished]
        statuses = [record.status.value for record in records.values()]
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
        text = "; ".join([counts if len(statuses) > 1 else "".join(statuses) or "nothing to do", *messages])
        line.finish(text, failed=bool(messages))

    def _cancel(self) -> None:
        self.executor.cancel([errand.sent for errand in self.out if errand.sent])
        if self.out:
            stored = f"{len(self.found)} of {len(self.cells)} cells are known to be stored in {self.store.root}"
            self.reporter.line(f"{len(self.out)} job{'s' * (len(self.out) > 1)} cancelled; {stored}")


def _failure(cell: StudyCell, message: str) -> Record:
    return Record(spec=cell.spec, status=Status.FAILED, values=None, message=message, provenance=cell.provenance)
