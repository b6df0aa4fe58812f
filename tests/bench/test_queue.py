"""The queue: in which order cells train, what is skipped, and that a killed one goes on as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bench.queue import main
from bench.records import Status
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS
from bench.tasks.scales import SCALES
from bench.training.cells import checkpoint_of
from bench.training.checkpoint import CheckpointError, read_checkpoint
from bench.training.queue import FIRST_PAIR, queued_cells
from bench.training.sweep import TrainingSetup
from models import MODELS
from tests.models.kinds import STAGED
from tests.records import make_provenance

ROOT = Path(__file__).parents[2]
MODEL = "tests.bench.brightness:Brightness"
ORDER = [("final", 0), ("aux", 0), ("final", 1)]


def cells_at(folder, tasks=("deblur",), models=(MODEL,), **options):
    store = ResultStore(folder)
    training = TrainingSetup(
        scale=SCALES["quick"], sources={}, store=store, device=torch.device("cpu"), keep_weights=True, **options
    )
    return queued_cells(training, tasks, models)


def queue(folder, *options):
    arguments = ["--task", "deblur", "--model", MODEL, "--results", str(folder), "--device", "cpu", *options]
    answer = CliRunner().invoke(main, arguments, standalone_mode=False, env={"COLUMNS": "200"})
    assert answer.exception is None, answer.output
    assert answer.return_value == 0, answer.output
    return answer.stdout


def trained(folder):
    """Loss and seed of every record, in the order in which they were made."""
    records = sorted(ResultStore(folder).records(), key=lambda record: record.provenance.created)
    return [(record.spec.loss, record.spec.seed) for record in records]


def test_the_most_wanted_cells_come_first(tmp_path):
    found = [
        (cell.spec.loss, cell.spec.seed, cell.spec.task, cell.spec.model, cell.spec.start)
        for cell in cells_at(tmp_path, PAPER_TASKS, tuple(MODELS), start="fbp")
    ]
    others = [name for name in MODELS if name not in FIRST_PAIR]
    expected = [
        *product(["final"], [0], PAPER_TASKS, MODELS),
        *product(["aux"], [0], PAPER_TASKS, STAGED),
        *product(["final"], [1], PAPER_TASKS, FIRST_PAIR),
        *product(["final"], [1], PAPER_TASKS, others),
    ]
    from_usual = [(*cell, "fbp" if cell[2] == "ct" else "adjoint") for cell in expected]
    from_other = list(product(["final"], [0], ["ct"], MODELS, ["adjoint"]))
    first = len(PAPER_TASKS) * len(MODELS)
    assert found == [*from_usual[:first], *from_other, *from_usual[first:]]
    assert len(set(found)) == len(found)


def test_a_list_trains_nothing_and_cells_are_counted(tmp_path):
    folder = tmp_path / "results"
    assert queue(folder, "--list").count("waiting") == 3
    assert not folder.exists()
    queue(folder, "--cells", "1")
    assert trained(folder) == ORDER[:1]
    listed = queue(folder, "--list")
    assert listed.count("waiting") == 2
    assert " dB from " in listed
    queue(folder, "--cells", "1")
    assert trained(folder) == ORDER[:2]
    queue(folder)
    queue(folder)  # nothing is left, which is no failure
    assert trained(folder) == ORDER


def test_a_list_tells_how_far_a_cell_is(tmp_path, monkeypatch):
    log = type("Log", (), {"step": 17})
    monkeypatch.setattr("bench.training.queue.read_checkpoint", lambda path: ({}, log))
    first, second, _ = (checkpoint_of(cell.spec, cell.provenance, ResultStore(tmp_path)) for cell in cells_at(tmp_path))
    first.parent.mkdir()
    first.touch()
    second.with_name(f"{second.stem}-denoiser.safetensors").touch()
    rows = queue(tmp_path, "--list").splitlines()
    assert [sum(text in row for row in rows) for text in (" step 17", "denoiser, step 17", "waiting")] == [2, 1, 1]


def test_a_finished_cell_leaves_record_weights_and_example_and_no_checkpoint(tmp_path):
    queue(tmp_path)
    for record in ResultStore(tmp_path).records():
        assert record.status is Status.OK
        assert (tmp_path / record.values.weights).is_file()
        assert set(ResultStore(tmp_path).example(record.values.example)) == {"start", "reconstruction", "truth"}
    assert len(list((tmp_path / "weights").iterdir())) == 3
    assert not list((tmp_path / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("options", "start", "other"), [((), "fbp", "adjoint"), (("--start", "adjoint"), "adjoint", "fbp")]
)
def test_ct_starts_where_the_queue_is_told(tmp_path, monkeypatch, options, start, other):
    asked = []

    def noted(training, tasks, models):
        asked.extend(cell.spec.start for cell in queued_cells(training, ["ct"], ["luser-sw"]))
        return []

    monkeypatch.setattr("bench.training.queue.queued_cells", noted)
    queue(tmp_path, "--list", *options)
    assert asked == [start, other, start, start]


HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def test_a_cell_that_another_process_is_at_is_skipped_until_that_ends(tmp_path):
    cell = cells_at(tmp_path)[0]
    lock = checkpoint_of(cell.spec, cell.provenance, ResultStore(tmp_path)).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    holder = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(holder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            queue(tmp_path, "--cells", "1")
            assert trained(tmp_path) == [ORDER[1]]
        finally:
            process.send_signal(signal.SIGKILL)
    queue(tmp_path, "--cells", "1")
    assert trained(tmp_path) == [ORDER[1], ORDER[0]]


@pytest.mark.parametrize(("status", "expected"), [(Status.OK, ORDER[1]), (Status.FAILED, ORDER[0])])
def test_a_cell_that_is_finished_on_another_machine_is_skipped(tmp_path, status, expected):
    queue(tmp_path, "--cells", "1")
    store = ResultStore(tmp_path)
    (record,) = store.records()
    store.path_of(record.spec, record.provenance).unlink()
    elsewhere = record.model_copy(update={"provenance": make_provenance(device="another"), "status": status})
    store.add(elsewhere)
    queue(tmp_path, "--cells", "1")
    assert trained(tmp_path) == [ORDER[0], expected]  # the other machine's is from January


DRIVER = """
from dataclasses import replace
from bench import queue
from bench.training import queue as cells

changes = {"steps": 6, "pretrain_steps": 6, "validations": 2, "validation_images": 2}
whole = cells.queued_cells
cells.queued_cells = lambda training, *chosen: whole(replace(training, checkpoint_s=0.0, changes=changes), *chosen)
queue.run(queue.main)
"""


def steps_done(folder, part):
    """The step of the newest checkpoint of one cell: of its denoiser, or of its training."""
    files = (folder / "checkpoints").glob("*.safetensors")
    wanted = [file for file in files if file.stem.endswith("-denoiser") is (part == "denoiser")]
    try:
        return read_checkpoint(wanted[0])[1].step if wanted else 0
    except CheckpointError:  # its cell has just ended
        return 0


def stored(folder):
    records = {file.name: file.read_bytes() for file in (folder / "weights").iterdir()}
    return records, {record.spec.loss: record.values.items for record in ResultStore(folder).records()}


@pytest.mark.slow
def test_a_killed_queue_goes_on_and_ends_with_the_same_weights(tmp_path):
    """SIGKILL while a denoiser trains, while a model does, and in the second cell."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    straight, killed = tmp_path / "straight", tmp_path / "killed"

    def command(folder, cells):
        options = ("--task", "deblur", "--model", "luser-sw", "--scale", "quick", "--cells", str(cells))
        return [sys.executable, "-c", DRIVER, *options, "--results", str(folder), "--device", "cpu"]

    quiet = {"cwd": ROOT, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command(straight, 2), check=True, **quiet)
    kills = 0
    for records, part, step in ((0, "denoiser", 2), (0, "whole", 2), (1, "whole", 3)):
        with subprocess.Popen(command(killed, 2), **quiet) as process:
            while process.poll() is None and (len(trained(killed)), steps_done(killed, part)) < (records, step):
                time.sleep(0.02)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills == 3
    assert len(trained(killed)) == 1
    subprocess.run(command(killed, 1), check=True, **quiet)
    assert stored(straight) == stored(killed)
    assert not list((killed / "checkpoints").glob("*.safetensors"))
