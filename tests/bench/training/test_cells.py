"""Accuracy cells: what belongs to their question, and what a record tells of how it came about."""

import pytest
import torch
from click.testing import CliRunner

from bench import accuracy
from bench.records import cell_id
from bench.records.environment import bf16_on_amx, number_flags
from bench.records.store import ResultStore
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks.scales import Scale
from bench.training import cells
from bench.training.cells import accuracy_cells
from bench.training.sweep import TrainingSetup

CPU = torch.device("cpu")
SCALE = Scale(name="quick", image_shapes={"deblur": (16, 16)}, train_images=2, test_images=2)


def asked(tmp_path, sources=None, **changes):
    training = TrainingSetup(
        scale=SCALE, sources=sources or {}, store=ResultStore(tmp_path), device=CPU, changes=changes
    )
    (cell,) = accuracy_cells(training, ["deblur"], ["lu-dncnn"], ["final"])
    return cell.spec


def test_the_number_of_processes_is_part_of_the_question(tmp_path, monkeypatch):
    alone = asked(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    together = asked(tmp_path)
    assert cell_id(alone) != cell_id(together)
    assert together == alone.model_copy(update={"processes": 2})


def test_so_are_the_files_of_the_splits_in_use(tmp_path, write_photo):
    for split in ("train", "val", "test"):
        write_photo(tmp_path / split / "a.png")
    spec = asked(tmp_path / "r", sources={"deblur": tmp_path}, validations=0)
    assert spec.files.train
    assert spec.files.test
    assert spec.files.validation is None
    assert asked(tmp_path / "r", sources={"deblur": tmp_path}, validations=1, validation_images=1).files.validation


@pytest.mark.parametrize(("limit", "status"), [(0.0, "nonconverged"), (float("inf"), "ok")])
def test_missed_fixed_points_are_a_status_and_keep_their_scores(tmp_path, monkeypatch, limit, status):
    monkeypatch.setattr(cells, "NONCONVERGED_RESIDUAL", limit)
    store = ResultStore(tmp_path)
    changes = {"steps": 1, "batch": 1, "validations": 0}
    training = TrainingSetup(scale=SCALE, sources={}, store=store, device=CPU, changes=changes)
    asked = accuracy_cells(training, ["deblur"], ["luser-sw"], ["final"])
    (record,) = run_cells(asked, store, Running(apart=False))
    assert record.status.value == status, record.message
    assert len(record.values.items) == 2
    assert ("fixed points of the held-out images are missed" in record.message) is (status == "nonconverged")


def train(folder, *options):
    arguments = ["--task", "deblur", "--model", "tests.bench.brightness:Brightness", "--loss", "final", "--steps", "2"]
    answer = CliRunner().invoke(
        accuracy.main, [*arguments, "--results", str(folder), "--device", "cpu", *options], standalone_mode=False
    )
    assert answer.return_value == 0, answer.output
    return answer.stderr


def test_weights_that_a_finished_cell_has_not_are_told_of_and_kept_by_force(tmp_path):
    told = "stored already, but without weights: --force trains it again and keeps them"
    assert told not in train(tmp_path)
    assert told in train(tmp_path, "--keep-weights")
    assert told not in train(tmp_path)
    train(tmp_path, "--keep-weights", "--force")
    (weights,) = (tmp_path / "weights").iterdir()
    assert "stored already" in (quiet := train(tmp_path, "--keep-weights"))
    assert told not in quiet
    weights.unlink()
    assert told in train(tmp_path, "--keep-weights")


def test_a_record_tells_of_flags_and_of_bfloat16(tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    train(tmp_path)
    train(tmp_path, "--precision", "bf16")
    fp32, bf16 = sorted(ResultStore(tmp_path).records(), key=lambda record: record.spec.precision, reverse=True)
    assert fp32.values.flags["MALLOC_ARENA_MAX"] == "2"
    assert fp32.values.amx is None
    assert bf16.values.amx is bf16_on_amx(CPU)


def test_flags_name_files_without_their_folders():
    environment = {"LD_PRELOAD": "/opt/a/libx.so:/b/liby.so", "MKL_CBWR": "AVX2", "HOME": "/home/me"}
    assert number_flags(environment) == {"LD_PRELOAD": "libx.so:liby.so", "MKL_CBWR": "AVX2"}


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        ("amx_bf16 avx2", "ALL", True),
        ("amx_bf16", "AVX512_CORE_AMX", True),
        ("amx_bf16", "AVX512_CORE", False),
        ("avx2", "ALL", False),
        (None, "ALL", None),
    ],
)
def test_amx_is_the_processors_and_onednns(monkeypatch, flags, limit, expected):
    lines = [] if flags is None else ["model name : x", f"flags : {flags}"]
    monkeypatch.setattr("bench.records.environment._processor_lines", lambda: lines)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert bf16_on_amx(CPU) is expected
    assert bf16_on_amx(torch.device("cuda")) is False
