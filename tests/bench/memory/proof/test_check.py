"""Real training steps beside their simulation: the profiler sees every byte, and only a CPU's scratch may differ."""

import json

import pytest
import torch
from click.testing import CliRunner
from torch.profiler import ProfilerActivity, profile

from bench.memory.__main__ import main
from bench.memory.proof import check as check_command
from bench.memory.proof.profiled import Profiled, peak_bytes
from bench.records import SMALL_BYTES, CheckValues
from bench.records.store import ResultStore

KIB = 2**10


def check(folder, *options):
    arguments = ["check", "--task", "deblur", "--image-size", "32", "--results", str(folder), *options]
    return CliRunner().invoke(main, arguments, standalone_mode=False)


def profiled_peak(function):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    return peak_bytes(profiler)


def two_at_once():
    first, second = torch.empty(KIB), torch.empty(2 * KIB)
    del first
    third = torch.empty(KIB // 2)
    return second, third


def test_the_peak_is_of_what_is_alive_at_once():
    kept = torch.empty(KIB)
    assert profiled_peak(two_at_once) == 3 * KIB * kept.itemsize


def test_a_profile_starts_from_nothing():
    kept = []
    profiled_peak(lambda: kept.append(torch.empty(KIB)))
    assert profiled_peak(two_at_once) == 3 * KIB * 4


@pytest.mark.parametrize(
    "model", ["deq4ip", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lu-dncnn", "luser-sw"))]
)
def test_a_real_step_holds_what_is_simulated_and_a_convolutions_scratch(model, tmp_path):
    answer = check(tmp_path, "--model", model, "--policy", "recompute", "--format", "json")
    assert answer.return_value == 0
    (row,) = json.loads(answer.stdout)
    assert row["explained"]
    assert row["map_bytes"] == 64 * 32 * 32 * 4
    assert row["profiled_bytes"] - row["simulated_bytes"] == row["difference_bytes"]
    assert abs(row["difference_bytes"]) < 0.1 * row["simulated_bytes"]


def test_a_difference_that_scratch_does_not_explain_is_an_error_and_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(check_command, "profile_steps", lambda spec: Profiled(2**30, 2**18, 2**17))
    answer = check(tmp_path, "--model", "lu-dncnn")
    assert answer.return_value == 1
    assert "no" in answer.stdout
    assert len(list(ResultStore(tmp_path).records())) == 2
    again = check(tmp_path, "--model", "lu-dncnn")
    assert again.return_value == 1
    assert "stored already" in again.stderr


@pytest.mark.parametrize(
    ("more", "explained"),
    [(0, True), (300 + SMALL_BYTES, True), (301 + SMALL_BYTES, False), (-SMALL_BYTES - 1, False)],
)
def test_scratch_is_one_map_and_one_filter(more, explained):
    values = CheckValues(profiled_bytes=10**6 + more, simulated_bytes=10**6, map_bytes=200, weight_bytes=100)
    assert values.explained is explained
    assert values.difference_maps == more / 200
