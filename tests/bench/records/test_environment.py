"""The machine: which precision it trains in, and what it does with freed memory."""

import ctypes
import platform
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from bench import accuracy, queue
from bench import all as whole_study
from bench.records.environment import keep_freed_memory, pick_device, provenance, share_device
from bench.tasks.scales import SCALES, precision_of

ROOT = Path(__file__).parents[3]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("scale", "device", "amx", "expected"),
    [
        ("full", CPU, True, "bf16"),
        ("full", CPU, False, "fp32"),
        ("full", CPU, None, "fp32"),  # the processor does not say
        ("full", CUDA, False, "bf16"),
        ("small", CPU, True, "fp32"),
        ("paper", CUDA, False, "fp32"),
    ],
)
def test_bfloat16_is_for_the_scale_full_where_it_is_fast(monkeypatch, scale, device, amx, expected):
    monkeypatch.setattr("bench.tasks.scales.bf16_on_amx", lambda device: amx)
    assert precision_of(SCALES[scale], device) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("a" * 40, ("a" * 40, False)),
        ("a" * 40 + "-dirty", ("a" * 40, True)),
        ("", (None, False)),
        (None, (None, False)),
    ],
)
def test_where_there_is_no_repository_the_environment_tells_the_commit(monkeypatch, tmp_path, told, expected):
    monkeypatch.setattr("bench.records.environment.ROOT", tmp_path)
    monkeypatch.delenv("BENCH_COMMIT", raising=False)
    if told is not None:
        monkeypatch.setenv("BENCH_COMMIT", told)
    where = provenance(None)
    assert (where.commit, where.dirty) == expected


def test_a_repository_knows_its_commit_better(monkeypatch):
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    monkeypatch.setenv("BENCH_COMMIT", "told")
    assert provenance(None).commit != "told"


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:1", 1), ("auto", 0)])
def test_a_cuda_device_has_a_number(monkeypatch, name, index):
    """Without one, ``torch.cuda.set_device`` and ``set_per_process_memory_fraction`` refuse it."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert pick_device(name) == torch.device("cuda", index)


@pytest.mark.parametrize(
    ("device", "jobs", "message"),
    [
        ("cuda:0", 3, "--jobs 3: there are 2 GPUs, one per job"),
        ("cuda:1", 2, "--jobs 2 takes the first 2 GPUs: write --device cuda, not cuda:1"),
        ("cuda:0", 2, None),
        ("cuda:1", 1, None),
    ],
)
def test_each_job_has_a_gpu_of_its_own(monkeypatch, device, jobs, message):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    if message is None:
        share_device(torch.device(device), jobs)
    else:
        with pytest.raises(click.ClickException, match=re.escape(message)):
            share_device(torch.device(device), jobs)


def test_jobs_share_the_threads_of_a_processor(monkeypatch):
    asked = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    for jobs in (1, 3, 20):
        share_device(torch.device("cpu"), jobs)
    assert asked == [2, 1]


@pytest.mark.parametrize(
    ("command", "options", "cells"),
    [
        (accuracy, ("--all",), "bench.training.cells.accuracy_cells"),
        (queue, ("--list",), "bench.training.queue.queued_cells"),
        (whole_study, (), "bench.training.cells.accuracy_cells"),
    ],
)
def test_every_command_that_trains_asks_for_it(monkeypatch, tmp_path, command, options, cells):
    asked = []

    def noted(training, *arguments):
        asked.append(training.precision)
        raise RuntimeError("asked")

    monkeypatch.setattr("bench.tasks.scales.bf16_on_amx", lambda device: True)
    monkeypatch.setattr(cells, noted)
    for other in ("memory.cells.memory", "costs.calls.call", "costs.timing.timing", "baselines.cells.reference"):
        monkeypatch.setattr(f"bench.{other}_cells", lambda *arguments, **options: [])
    arguments = [*options, "--scale", "full", "--results", str(tmp_path), "--device", "cpu"]
    answer = CliRunner().invoke(command.main, arguments, standalone_mode=False)
    assert str(answer.exception) == "asked"
    assert asked == ["bf16"]


@pytest.mark.parametrize(("system", "library"), [("linux", ""), ("darwin", "glibc"), ("win32", "")])
def test_without_glibc_nothing_is_asked_of_it(monkeypatch, system, library):
    def refuse(name):
        raise AssertionError("no such library here")

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, ""))
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    keep_freed_memory()


WORK = """
import resource, sys
import torch
from bench.records.environment import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
image, total = torch.rand(1024, 1024, generator=torch.Generator().manual_seed(0)), 0.0
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(60):
    image = (image * 1.5).sin() + torch.fft.ifft2(torch.fft.fft2(image)).real
    total += float(image.std())
print(total, image.sum().item(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is freed is glibc's to keep")
def test_freed_memory_is_used_again_and_no_result_changes():
    def work(how):
        command = [sys.executable, "-c", WORK, how]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    *kept, kept_faults = work("keep")
    *given_back, faults = work("give back")
    assert kept == given_back
    assert int(kept_faults) < int(faults) / 2  # pages that the system had to clear
