"""The results folder: whole after every write, one record a cell and environment, clear about what is broken."""

import json
import math
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bench.records import AccuracySpec, AccuracyValues, CallsValues, Status
from bench.records.recipe import Recipe
from bench.records.store import ResultStore, StoreError
from tests.records import make_provenance, make_record, make_spec

ROOT = Path(__file__).resolve().parents[3]


def test_a_record_comes_back_as_it_was_stored(tmp_path):
    store, record = ResultStore(tmp_path), make_record()
    path = store.add(record)
    assert path.parent == tmp_path / "memory"
    assert list(store.records()) == [record]
    assert json.loads(path.read_text())["spec"]["task"] == "ct"


def test_the_same_question_has_the_same_identity_and_another_has_another():
    assert make_record().cell_id == make_record(provenance=make_provenance(device="other")).cell_id
    assert make_record().cell_id != make_record(spec=make_spec(cap_bytes=2**34)).cell_id


def test_a_finished_cell_is_found_in_its_environment_only(tmp_path):
    store = ResultStore(tmp_path)
    store.add(make_record())
    assert store.finished(make_spec(), make_provenance()) is not None
    assert store.finished(make_spec(), make_provenance(created=datetime(2027, 1, 1, tzinfo=timezone.utc))) is not None
    assert store.finished(make_spec(), make_provenance(device="other")) is None
    assert store.finished(make_spec(task="deblur"), make_provenance()) is None


@pytest.mark.parametrize(("status", "retried"), [("failed", True), ("timeout", True), ("diverged", False)])
def test_crashes_are_retried_and_findings_are_not(tmp_path, status, retried):
    store = ResultStore(tmp_path)
    store.add(make_record(status=Status(status), values=None))
    assert (store.finished(make_spec(), make_provenance()) is None) == retried


def test_nan_losses_survive(tmp_path):
    spec = AccuracySpec(
        task="ct",
        model="deq4ip",
        image_shape=(8, 8),
        loss="final",
        scale="quick",
        data="generated",
        policy="paper",
        recipe=Recipe(steps=2, batch=1, learning_rate=1e-3),
        train_images=1,
        test_images=1,
        seed=0,
    )
    values = AccuracyValues(
        items=(), loss_trace=(0.5, math.nan), skipped_steps=1, solver_steps=(), residuals=(), train_s=1.0
    )
    store = ResultStore(tmp_path)
    store.add(make_record(spec=spec, values=values))
    (record,) = store.records()
    assert record.values.loss_trace[0] == 0.5
    assert math.isnan(record.values.loss_trace[1])


def test_values_must_answer_their_question():
    with pytest.raises(ValidationError, match="a memory question with calls values"):
        make_record(values=CallsValues(training_step={}, reconstruction={}))


def test_examples_come_back(tmp_path):
    store = ResultStore(tmp_path)
    images = {
        key: np.full((1, 2, 3), value, np.float32)
        for key, value in (("start", 0.25), ("reconstruction", 0.5), ("truth", 1))
    }
    relative = store.add_example(make_spec(), make_provenance(), **images)
    for key, image in store.example(relative).items():
        assert image.dtype == np.float32
        assert np.array_equal(image, images[key])
    (tmp_path / relative).write_bytes(b"not a zip")
    with pytest.raises(StoreError, match="not a valid example"):
        store.example(relative)


def test_a_failed_write_leaves_the_old_record_and_no_debris(tmp_path, monkeypatch):
    store = ResultStore(tmp_path)
    path = store.add(make_record())
    before = path.read_bytes()

    def full_disk(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match="no space"):
        store.add(make_record(status=Status.DIVERGED))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_killed_writer_leaves_a_readable_store(tmp_path):
    script = f"""
from bench.records.store import ResultStore
from tests.records import make_record, make_spec
store = ResultStore({str(tmp_path)!r})
for cap in range(1, 100000):
    store.add(make_record(spec=make_spec(cap_bytes=cap)))
    if cap == 5:
        print("going", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "going\n"
        writer.kill()
    assert len(list(ResultStore(tmp_path).records())) >= 5
