"""Probes on a real GPU; what goes wrong before one is reached is tested without."""

import json
import subprocess
import sys

import pytest
import torch

from bench.memory import cuda
from bench.memory.search import largest_batch, next_batch
from bench.record import MemorySpec

SPEC = MemorySpec(
    task="deblur", model="luser-sw", image_shape=(218, 178), policy="paper", cap_bytes=4 * 2**30, backend="cuda"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def answering(monkeypatch, returncode, stdout="", stderr=""):
    def run(command, **_):
        assert command[:3] == [sys.executable, "-m", "bench.memory.cuda"]
        return subprocess.CompletedProcess(command, returncode, stdout, stderr)

    monkeypatch.setattr(cuda.subprocess, "run", run)


def test_a_probe_that_fits_reports_its_peak(monkeypatch):
    answering(monkeypatch, 0, "noise\n" + json.dumps({"peak_bytes": 123}) + "\n")
    probe = cuda.probe(SPEC, 2, torch.device("cuda"))
    assert (probe.batch, probe.peak_bytes, probe.fits) == (2, 123, True)


def test_another_failure_than_memory_is_not_taken_for_it(monkeypatch):
    answering(monkeypatch, 1, stderr="Traceback ...\nRuntimeError: no kernel image is available\n")
    with pytest.raises(cuda.ProbeError, match="batch 2 failed with exit code 1: RuntimeError: no kernel image"):
        cuda.probe(SPEC, 2, torch.device("cuda"))


@needs_gpu
@pytest.mark.slow
def test_the_batch_fits_and_the_next_does_not():
    device = torch.device("cuda")
    batch, probes = largest_batch(lambda b: cuda.probe(SPEC, b, device), guess=4)
    verdicts = {probe.batch: probe for probe in probes}
    assert verdicts[batch].fits
    assert verdicts[batch].peak_bytes <= SPEC.cap_bytes
    assert not verdicts[next_batch(batch)].fits
    assert verdicts[next_batch(batch)].peak_bytes > SPEC.cap_bytes
