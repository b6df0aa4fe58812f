"""Trainings end with the time, and only those run that nobody has finished."""

import time

import pytest

from bench.gpu import training
from bench.gpu.budget import Budget, OutOfTime
from bench.gpu.ledger import Ledger
from bench.gpu.site import Site, Work
from bench.records import Status
from bench.records.store import ResultStore
from bench.training import queue
from tests.records import make_record


class Trained:
    """A cell of the queue, by its label."""

    def __init__(self, label):
        self.label = label


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "check_sources", lambda *_: None)
    monkeypatch.setattr(queue, "queued_cells", lambda training, tasks, models: [Trained(task) for task in tasks])
    monkeypatch.setattr(queue, "finished", lambda cell, store: None)
    monkeypatch.setattr(training, "ROOT", tmp_path)
    monkeypatch.setattr(training, "TRAINING_S", 0.1)
    sources = {"deblur": tmp_path, "ct": tmp_path}
    return Work(Site(tmp_path, "cpu", sources=sources), Budget(3), Ledger(tmp_path / "ledger.jsonl"))


def test_a_training_is_interrupted_when_its_time_is_over(work, monkeypatch):
    monkeypatch.setattr(queue, "work_off", lambda cells, store, running: time.sleep(60))
    started = time.monotonic()
    with pytest.raises(OutOfTime, match="resume at their last checkpoint"):
        training.train(work)
    assert time.monotonic() - started < 30
    assert work.ledger.failures == {}


def test_what_is_finished_at_home_is_not_trained_again(work, monkeypatch):
    trained = []

    def work_off(cells, store, running):
        trained.extend(cell.label for cell in cells)
        return [make_record(status=Status.FAILED, values=None, message="no")]

    def finished(cell, store):
        assert store.root == ResultStore(work.site.folder / "results").root
        return make_record() if cell.label == "deblur" else None

    monkeypatch.setattr(queue, "work_off", work_off)
    monkeypatch.setattr(queue, "finished", finished)
    training.train(work)
    assert trained == ["ct"]
    assert work.ledger.failures == {"ct": "no"}


def test_without_real_images_it_says_so(tmp_path):
    work = Work(Site(tmp_path, "cuda"), Budget(100), Ledger(tmp_path / "ledger.jsonl"))
    training.train(work)
    assert work.ledger.figures == {"skipped": "no --data names real images"}
