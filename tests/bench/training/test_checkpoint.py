"""Checkpoints: what is read is what was written, and what is broken is named."""

import pytest
import torch
from safetensors.torch import save_file

from bench.training.average import weight_average
from bench.training.checkpoint import (
    CheckpointError,
    load_optimizer,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from bench.training.log import TrainingLog


def test_tensors_and_log_come_back_as_they_were(tmp_path):
    path, shared = tmp_path / "run.safetensors", torch.rand(3)
    log = TrainingLog(losses=[0.5, float("nan")], skipped=1, step_s=[0.1, 0.2])
    write_checkpoint(path, {"a": shared, "b": shared[1:], "c": torch.tensor(3)}, log)
    tensors, again = read_checkpoint(path)
    assert torch.equal(tensors["a"], shared)
    assert torch.equal(tensors["b"], shared[1:])
    assert tensors["c"] == 3
    assert again.model_dump_json() == log.model_dump_json()
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_file_is_named(tmp_path):
    whole, path = tmp_path / "whole.safetensors", tmp_path / "run.safetensors"
    write_checkpoint(whole, {"a": torch.rand(3)}, TrainingLog())
    for content in (b"", b"<html>", whole.read_bytes()[:-4]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"not a checkpoint.*delete it to begin anew"):
            read_checkpoint(path)


def test_tensors_without_a_log_are_no_checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.rand(3)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW])
def test_an_optimiser_goes_on_with_its_moments(make):
    def step(weights, optimizer, target):
        optimizer.zero_grad()
        (weights - target).square().sum().backward()
        optimizer.step()

    straight = torch.nn.Parameter(torch.zeros(4))
    optimizer = make([straight], lr=0.1)
    step(straight, optimizer, 1.0)
    resumed = torch.nn.Parameter(straight.detach().clone())
    again = make([resumed], lr=0.1)
    load_optimizer(again, {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()})
    step(straight, optimizer, -2.0)
    step(resumed, again, -2.0)
    assert torch.equal(straight, resumed)


def test_the_average_forgets_faster_at_first():
    model = torch.nn.Linear(1, 1, bias=False)
    average, expected = weight_average(model, 0.9), None
    for value in (1.0, 2.0, 5.0):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)
        count = 0 if expected is None else count + 1  # noqa: F821
        kept = min(0.9, (1 + count) / (10 + count))
        expected = value if expected is None else kept * expected + (1 - kept) * value
    assert average.module.weight.item() == pytest.approx(expected)
