"""A training that was interrupted ends as one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.training.checkpoint import CheckpointError, read_checkpoint
from bench.training.trainer import fit
from bench.training.validation import Validation
from tests.bench.brightness import Brightness
from tests.bench.small_runs import FULL, OPERATOR, flat, luser, recipe, run_of, split, trained

ROOT = Path(__file__).parents[3]


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_run_goes_on_from_its_checkpoint_bit_for_bit(tmp_path, at):
    full = recipe(**FULL, steps=6, validations=3)
    straight, log = trained(full, validation=Validation(split("validation", 2), OPERATOR))

    def stop(log, done):
        if log.step == at + 1:  # the checkpoint is that of the step before
            raise Stop

    options = {
        "validation": Validation(split("validation", 2), OPERATOR),
        "checkpoint": tmp_path / "run.safetensors",
        "checkpoint_s": 0.0,
    }
    with pytest.raises(Stop):
        fit(run_of(luser(), full, **options), stop)
    assert read_checkpoint(options["checkpoint"])[1].step == at
    resumed, again = trained(full, luser(seed=9), **options)
    assert torch.equal(flat(straight), flat(resumed))
    assert again.losses == log.losses
    assert again.chosen_step == log.chosen_step
    assert [p.psnr_db for p in again.validation_trace] == [p.psnr_db for p in log.validation_trace]


def test_a_finished_run_is_not_trained_again(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    first, log = trained(recipe(**FULL), checkpoint=checkpoint)
    second, again = trained(recipe(**FULL), luser(seed=9), checkpoint=checkpoint)
    assert torch.equal(flat(first), flat(second))
    assert again.step_s == log.step_s


def test_another_models_checkpoint_is_refused(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    trained(recipe(), Brightness(), checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match="not a checkpoint of this model"):
        trained(recipe(), checkpoint=checkpoint)


def command(folder, *options):
    cell = ("--task", "deblur", "--model", "luser-sw", "--loss", "final", "--scale", "quick", "--batch", "2")
    return [sys.executable, "-m", "bench.accuracy", *cell, "--results", str(folder), "--keep-weights", *options]


def stored_weights(folder):
    (file,) = (folder / "weights").glob("*.safetensors")
    return file.read_bytes()


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_with_the_same_weights(tmp_path):
    """SIGKILL, which nothing can catch, once a checkpoint is there; a few times, wherever it then is."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(straight, "--steps", "12"), cwd=ROOT, env=environment, check=True, capture_output=True)
    again = command(killed, "--steps", "12", "--checkpoint-seconds", "0")
    kills = 0
    for wanted in (2, 5, 9):
        with subprocess.Popen(again, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and _steps_done(killed) < wanted:
                time.sleep(0.02)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills == 3
    subprocess.run(again, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert stored_weights(straight) == stored_weights(killed)
    assert not list((killed / "checkpoints").glob("*.safetensors"))  # no cell is unfinished


def _steps_done(folder):
    files = list((folder / "checkpoints").glob("*.safetensors"))
    return read_checkpoint(files[0])[1].step if files else 0
