"""Several processes train one model as one process does."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from bench.training.checkpoint import read_checkpoint
from bench.training.processes import loggers, make_fabric
from bench.training.validation import Validation
from tests.bench.small_runs import OPERATOR, flat, luser, recipe, split, trained
from tests.bench.training.parallel import RECIPE, SILENT

ROOT = Path(__file__).parents[3]


def torchrun(folder, processes, script="parallel.py"):
    script = Path(__file__).with_name(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, str(script), str(folder)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_two_processes_share_a_batch(tmp_path):
    answer = torchrun(tmp_path, 2)
    assert answer.returncode == 0, answer.stderr
    (first, losses), (second, others) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)
    alone, log = trained(RECIPE, task=SILENT)
    assert losses == others == pytest.approx(log.losses, rel=1e-4)  # of the whole batch, not of a part
    start = flat(luser())
    moved, difference = flat(alone) - start, first - flat(alone)
    assert torch.linalg.vector_norm(difference) < 1e-2 * torch.linalg.vector_norm(moved)
    tensors, log = read_checkpoint(tmp_path / "run.safetensors")  # the first process's
    assert log.losses == losses
    assert not any("module." in name for name in tensors if name.startswith("model."))


@pytest.mark.slow
def test_no_model_makes_pytorch_warn(tmp_path):
    answer = torchrun(tmp_path, 2, "parallel_models.py")
    assert answer.returncode == 0, answer.stderr
    assert "strides" not in answer.stderr


@pytest.mark.slow
def test_processes_that_cannot_share_a_batch_say_so(tmp_path):
    answer = torchrun(tmp_path, 3)
    assert answer.returncode != 0
    assert "3 processes cannot share a batch of 2 evenly" in answer.stderr


def test_losses_and_scores_go_to_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writers = loggers(tmp_path)
    fabric = make_fabric(torch.device("cpu"), writers)
    _, log = trained(recipe(validations=3), fabric=fabric, validation=Validation(split("validation", 2), OPERATOR))
    writers[0].finalize("success")
    (folder,) = (file.parent for file in tmp_path.rglob("events.*"))
    events = EventAccumulator(str(folder)).Reload()
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(log.losses)
    assert [event.step for event in events.Scalars("validation/psnr_db")] == [1, 2, 3]


def test_without_a_folder_nothing_is_logged():
    assert loggers(None) == []


@pytest.mark.parametrize("variables", [{}, {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bench", "SLURM_PROCID": "0"}])
def test_an_installed_slurm_is_neither_used_nor_warned_of(monkeypatch, tmp_path, variables):
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fabric = make_fabric(torch.device("cpu"))
    assert fabric.world_size == 1
    assert fabric.is_global_zero
