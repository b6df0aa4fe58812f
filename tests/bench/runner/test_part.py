"""A job's part of a command, and the watch over jobs that do not answer."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import click
import pytest

from bench.records import CallsSpec, CallsValues, Record, Status
from bench.records.store import ResultStore
from bench.runner import cluster
from bench.runner.cell import Outcome, StudyCell
from bench.runner.part import Command, Job, Part
from bench.runner.running import Running
from tests.records import make_provenance

NOW = datetime.now(timezone.utc)
ANSWER = Outcome(Status.OK, CallsValues(training_step={}, reconstruction={}))


def make_cells(measured, names="abcd"):
    def measure(name, _):
        measured.append(name)
        return ANSWER

    specs = [
        CallsSpec(task=name, model="m", image_shape=(4, 4), policy="paper", batch=1, training_steps=0) for name in names
    ]
    return [StudyCell(spec, make_provenance(), lambda _, name=spec.task: measure(name, _), "") for spec in specs]


def make_part(folder, *places, total=4):
    return Part(places=places, total=total, results=folder, since=NOW, answers=folder / "answers.json")


def store_record(store, cell, created, status=Status.OK):
    values = ANSWER.values if status is Status.OK else None
    where = cell.provenance.model_copy(update={"created": created})
    store.add(Record(spec=cell.spec, status=status, values=values, message="", provenance=where))


def test_a_part_answers_its_own_cells_and_tells_where_their_records_are(tmp_path):
    store, measured, part = ResultStore(tmp_path), [], make_part(tmp_path, 1, 3)
    records = part.answer(make_cells(measured), store, Running())
    assert measured == [record.spec.task for record in records] == ["b", "d"]
    files = json.loads(part.answers.read_text())["records"]
    assert [store.read(tmp_path / files[place]).spec.task for place in ("1", "3")] == ["b", "d"]


def test_a_forced_part_repeats_what_was_stored_before_it_was_sent(tmp_path):
    store, measured = ResultStore(tmp_path), []
    cells = make_cells(measured)
    store_record(store, cells[0], NOW - timedelta(days=1))
    store_record(store, cells[1], NOW + timedelta(seconds=1))  # by an attempt that was ended after it
    records = make_part(tmp_path, 0, 1).answer(cells, store, Running(force=True))
    assert measured == ["a"]
    assert [record.spec.task for record in records] == ["a", "b"]


def test_a_part_can_be_told_to_repeat_failures_alone(tmp_path):
    store, measured = ResultStore(tmp_path), []
    cells = make_cells(measured)
    store_record(store, cells[2], NOW, Status.FAILED)
    records = make_part(tmp_path, 0, 2).answer(cells, store, Running(), only_failed=True)
    assert measured == [record.spec.task for record in records] == ["c"]


def test_a_machine_that_makes_other_cells_is_told(tmp_path):
    with pytest.raises(click.ClickException, match="makes 4 cells, the machine that sent it 5: name what differs"):
        make_part(tmp_path, 0, total=5).answer(make_cells([]), ResultStore(tmp_path), Running())


@click.command()
def refuses():
    raise click.ClickException("no such device\nhere")


def test_what_a_command_refuses_in_a_job_is_written_down(tmp_path):
    part = make_part(tmp_path, 0)
    Job(Command(__name__, "refuses", ()), part)()
    assert json.loads(part.answers.read_text()) == {"refused": "no such device here"}


class Scheduler:
    """Forgets every job at once; every second time it is asked, it does not answer."""

    at_once = None

    def __init__(self, act=lambda job: None):
        self.sent, self.asked, self.act = [], 0, act

    def send(self, jobs):
        self.sent += jobs
        for job in jobs:
            self.act(job)
        return [SimpleNamespace(job_id=str(len(self.sent)), paths=SimpleNamespace(stderr="job.err")) for _ in jobs]

    def states(self, _):
        self.asked += 1
        return {} if self.asked % 2 else None

    def cancel(self, jobs):
        self.cancelled = list(jobs)


def watched(monkeypatch, folder, scheduler):
    monkeypatch.setattr(cluster, "make_executor", lambda *_: scheduler)
    monkeypatch.setattr(Command, "current", classmethod(lambda _: Command("m", "main", ())))
    monkeypatch.setattr(cluster, "POLL_S", 0)
    cells = [replace(cell, group=group) for cell, group in zip(make_cells([]), "xxyy", strict=True)]
    return cluster.run_on_cluster(cells, ResultStore(folder), SimpleNamespace(place="slurm", profile=None))


def test_a_job_that_never_answers_is_sent_three_times_and_stored_nowhere(monkeypatch, tmp_path, capsys):
    scheduler = Scheduler()
    monkeypatch.setattr(cluster, "GRACE_S", 0)
    records = watched(monkeypatch, tmp_path, scheduler)
    assert [job.part.places for job in scheduler.sent] == [(0, 1), (2, 3)] * 3
    assert [record.status for record in records] == [Status.FAILED] * 4
    assert records[0].message == "job 6 ended without an answer; 3 attempts; see job.err"
    assert list(ResultStore(tmp_path).records()) == []
    assert "[2/2]" in capsys.readouterr().err


def test_a_refusal_ends_the_watch_and_the_other_jobs(monkeypatch, tmp_path):
    def act(job):
        job.part.answers.parent.mkdir(parents=True, exist_ok=True)
        if 0 in job.part.places:
            job.part.answers.write_text('{"refused": "no such device"}')

    scheduler = Scheduler(act)
    with pytest.raises(click.ClickException, match="calls a m  and 1 more: no such device"):
        watched(monkeypatch, tmp_path, scheduler)
    assert len(scheduler.cancelled) == 1


def test_a_record_that_is_gone_fails_its_cell_alone(monkeypatch, tmp_path):
    def act(job):
        job.part.answers.parent.mkdir(parents=True, exist_ok=True)
        files = {place: f"calls/{place}.json" for place in job.part.places}
        job.part.answers.write_text(json.dumps({"records": files}))

    records = watched(monkeypatch, tmp_path, Scheduler(act))
    assert [record.status for record in records] == [Status.FAILED] * 4
    assert "0.json" in records[0].message
