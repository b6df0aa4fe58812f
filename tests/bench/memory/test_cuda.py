"""Probes on a real GPU; what goes wrong before one is reached is tested without."""

import json
import subprocess
import sys

import pytest
import torch

from bench.memory import cells, cuda
from bench.memory.search import largest_batch
from bench.records import GIB, MIB, MemorySpec, Probe
from bench.records.environment import pick_device
from bench.records.kernels import libraries
from bench.runner.progress import Reporter
from tests.records import make_provenance

CUDA = torch.device("cuda:0")
CAP, CONTEXT = 4 * GIB, 500 * MIB
SPEC = MemorySpec(
    task="deblur", model="luser-sw", image_shape=(218, 178), policy="paper", cap_bytes=CAP, backend="cuda"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def asked(monkeypatch):
    """Requests of the processes that were started; NVML knows of a gibibyte in use."""
    monkeypatch.setattr(cuda, "used_bytes", lambda _: GIB)
    cuda._context_alone.cache_clear()
    yield []
    cuda._context_alone.cache_clear()


def answering(monkeypatch, *answers, asked=None):
    """Let processes end with these answers one after another: figures, or an exit code and what stderr says."""
    coming = iter(answers)

    def run(command, **_):
        assert command[:3] == [sys.executable, "-m", "bench.memory.steps"]
        if asked is not None:
            asked.append(json.loads(command[3]))
        answer = next(coming)
        if isinstance(answer, dict):
            return subprocess.CompletedProcess(command, 0, "noise\n" + json.dumps(answer) + "\n", "")
        return subprocess.CompletedProcess(command, answer[0], "", answer[1])

    monkeypatch.setattr(cuda.subprocess, "run", run)


def simulating(monkeypatch, peak_bytes):
    monkeypatch.setattr(cuda, "trace_of", lambda key: None)
    monkeypatch.setattr(cuda, "judge", lambda *_, **__: Probe(batch=1, peak_bytes=peak_bytes, fits=False))


def figures(peak_bytes, context_bytes=CONTEXT, **more):
    return {"peak_bytes": peak_bytes, "context_bytes": context_bytes, "nvml_bytes": None} | more


def test_a_probe_that_fits_reports_its_peak(monkeypatch):
    answering(monkeypatch, figures(123))
    probe = cuda.probe(SPEC, 2, CUDA, CONTEXT)
    assert (probe.batch, probe.peak_bytes, probe.fits) == (2, 123, True)


def test_another_failure_than_memory_is_not_taken_for_it(monkeypatch):
    answering(monkeypatch, (1, "Traceback ...\nRuntimeError: no kernel image is available\n"))
    with pytest.raises(cuda.ProbeError, match="batch 2 failed with exit code 1: RuntimeError: no kernel image"):
        cuda.probe(SPEC, 2, CUDA, CONTEXT)


@pytest.mark.parametrize(
    "above", [figures(CAP + 1), figures(CAP - 1, nvml_bytes=CAP + 1)], ids=["our account", "NVML's account"]
)
def test_steps_that_run_fit_only_below_the_cap(monkeypatch, above):
    answering(monkeypatch, above)
    probe = cuda.probe(SPEC, 2, CUDA, CONTEXT)
    assert (probe.fits, probe.peak_bytes, probe.simulated_peak) == (False, above["peak_bytes"], False)


@pytest.mark.parametrize(("simulated", "told"), [(CAP + MIB, CAP + MIB), (CAP - MIB, CAP + 1)])
def test_where_memory_runs_out_the_peak_is_simulated_and_above_the_cap(monkeypatch, simulated, told):
    simulating(monkeypatch, simulated)
    answering(monkeypatch, (3, ""))
    probe = cuda.probe(SPEC, 2, CUDA, CONTEXT)
    assert (probe.fits, probe.peak_bytes, probe.simulated_peak) == (False, told, True)
    assert probe.requested_bytes is None


@pytest.mark.parametrize("second", [figures(CAP, 2 * CONTEXT), (3, "")], ids=["room is made", "no room"])
def test_a_context_that_grew_is_taken_off_the_cap_again(monkeypatch, asked, second):
    simulating(monkeypatch, 2 * CAP)
    answering(monkeypatch, figures(CAP + MIB, 2 * CONTEXT), second, asked=asked)
    assert cuda.probe(SPEC, 2, CUDA, CONTEXT).fits == isinstance(second, dict)
    assert [request["context_bytes"] for request in asked][:2] == [CONTEXT, 2 * CONTEXT]


def test_the_context_is_measured_once_for_all_caps_and_without_one(monkeypatch, asked):
    answering(monkeypatch, {"context_bytes": CONTEXT}, asked=asked)
    for spec in (SPEC, SPEC.model_copy(update={"cap_bytes": 2 * CAP})):
        assert cuda.context_alone(spec, CUDA) == CONTEXT
    (request,) = asked
    assert (request["cap_bytes"], request["context_bytes"], request["used_bytes"]) == (0, None, GIB)


def test_a_cell_passes_the_context_on_to_its_probes(monkeypatch, asked):
    simulating(monkeypatch, 2 * CAP)
    answering(monkeypatch, {"context_bytes": CONTEXT}, figures(CAP), (3, ""), asked=asked)
    monkeypatch.setattr(cells, "simulated_batch", lambda spec: 2)
    monkeypatch.setattr(cells, "provenance", lambda device: make_provenance())
    (cell,) = cells.memory_cells(["deblur"], ["luser-sw"], ["paper"], [CAP], CUDA)
    assert cell.measure(Reporter(1).begin(cell.label)).values.max_batch == 2
    assert [request["context_bytes"] for request in asked] == [None, CONTEXT, CONTEXT]
    where = cell.provenance
    assert {"cuda": where.cuda, "cudnn": where.cudnn, "flags": where.flags} == libraries()


@needs_gpu
@pytest.mark.slow
def test_the_batch_fits_and_the_next_does_not():
    device = pick_device("cuda")
    context = cuda.context_alone(SPEC, device)
    batch, probes = largest_batch(lambda b: cuda.probe(SPEC, b, device, context), guess=4)
    verdicts = {probe.batch: probe for probe in probes}
    assert verdicts[batch].fits
    assert verdicts[batch].peak_bytes <= SPEC.cap_bytes
    following = min(tried for tried in verdicts if tried > batch)
    assert not verdicts[following].fits
    assert verdicts[following].peak_bytes > SPEC.cap_bytes
