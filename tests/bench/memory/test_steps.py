"""What happens in a probe's process: the cap, the context and errors, on a GPU that isn't there."""

import json
from functools import partial

import click
import pynvml
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.memory import calibrate, steps
from bench.memory.nvml import claim_gpu, used_bytes
from bench.records import GIB, MIB
from tests.bench.memory.fake_gpu import NEIGHBOUR_PID, FakeGpu
from tests.records import make_spec

CUDA = torch.device("cuda:0")
SPEC = make_spec(backend="cuda")
ASKED = {"spec": SPEC.model_dump(mode="json"), "device": "cuda:0", "batch": 2, "cap_bytes": SPEC.cap_bytes}
NOT_SUPPORTED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
DISGUISES = [
    "GET was unable to find an engine to execute this computation after trying 3 plans.",
    "FIND was unable to find an engine to execute this computation after trying 3 plans.",
    "Unable to find an engine to execute this computation",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA driver error: out of memory",
]


@pytest.fixture
def gpu(monkeypatch):
    return FakeGpu(monkeypatch)


def failing(message, *_, **__):
    raise RuntimeError(message)


def exit_code(monkeypatch, message):
    monkeypatch.setattr(steps, "train_under_cap", partial(failing, message))
    return steps.main.callback(json.dumps({"context_bytes": 1}))


@pytest.mark.parametrize("message", DISGUISES)
def test_a_library_that_finds_no_memory_is_taken_for_it(message, monkeypatch):
    assert exit_code(monkeypatch, message) == steps.DISGUISED_EXIT


def test_another_error_is_not(monkeypatch):
    with pytest.raises(RuntimeError, match="no kernel image"):
        exit_code(monkeypatch, "CUDA error: no kernel image is available")


def test_a_calibration_ends_a_call_where_a_library_finds_no_memory(monkeypatch):
    def hidden(call, batch, device):
        return batch if batch < 4 else failing(DISGUISES[0])

    monkeypatch.setattr(calibrate, "_hidden_bytes", hidden)
    assert calibrate.measure_calls(['["aten.convolution"]'], CUDA, (1, 2, 4)) == {
        '["aten.convolution"]': ((1, 1), (2, 2))
    }


@given(st.integers(GIB, 200 * GIB), st.integers(1, 100_000))
def test_a_segment_that_fills_the_cap_is_allowed(total_bytes, segments):
    allowed = min(2 * MIB * segments, total_bytes)
    assert int(steps.cap_fraction(allowed, total_bytes) * total_bytes) in (allowed, allowed + 1)


def test_the_context_is_what_the_steps_have_loaded(gpu):
    found = steps.train_under_cap(ASKED | {"context_bytes": 500 * MIB})
    assert found["context_bytes"] == gpu.context
    assert found["peak_bytes"] == gpu.peak_reserved + gpu.context
    assert found["nvml_bytes"] == gpu.reserved + gpu.context
    assert int(gpu.fraction * gpu.total) in (allowed := SPEC.cap_bytes - 500 * MIB, allowed + 1)


@pytest.mark.parametrize("listing", [NEIGHBOUR_PID + 1, None, NOT_SUPPORTED], ids=["foreign", "hidden", "unsupported"])
def test_where_nvml_cannot_tell_the_process_the_context_is_the_one_passed_on(gpu, listing):
    gpu.listing, gpu.others = listing, {NEIGHBOUR_PID: GIB, NEIGHBOUR_PID + 2: GIB}
    found = steps.train_under_cap(ASKED | {"context_bytes": 500 * MIB})
    assert (found["context_bytes"], found["nvml_bytes"]) == (500 * MIB, None)
    assert found["peak_bytes"] == gpu.peak_reserved + 500 * MIB


@pytest.mark.parametrize("listing", [NEIGHBOUR_PID, None, NOT_SUPPORTED], ids=["foreign", "hidden", "unsupported"])
@pytest.mark.parametrize("tells_used", [True, False])
def test_the_context_is_measured_alone_whatever_nvml_tells(gpu, listing, tells_used):
    gpu.listing, gpu.tells_used = listing, tells_used
    found = steps.measure_context(ASKED | {"used_bytes": used_bytes(CUDA)})
    assert found == {"context_bytes": gpu.context}


def test_the_baseline_is_what_the_device_holds_before_there_is_a_context(gpu):
    gpu.listing, gpu.bare = NOT_SUPPORTED, 450 * MIB  # larger than NVIDIA's smallest
    found = steps.measure_context(ASKED | {"used_bytes": used_bytes(CUDA)})
    assert found == {"context_bytes": gpu.context}


def test_the_context_cannot_be_measured_beside_a_neighbour_where_no_process_can_be_told(gpu):
    gpu.listing, gpu.others = NEIGHBOUR_PID + 1, {NEIGHBOUR_PID: GIB}
    with pytest.raises(click.ClickException, match="2 processes are on cuda:0 and NVML does not tell which"):
        steps.measure_context(ASKED | {"used_bytes": used_bytes(CUDA)})


def test_the_context_is_what_was_loaded_until_memory_ran_out(gpu, monkeypatch):
    def train(*_, **__):
        gpu.train()
        failing(DISGUISES[0])

    monkeypatch.setattr(steps, "train", train)
    assert steps.measure_context(ASKED | {"used_bytes": None}) == {"context_bytes": gpu.context}


def test_a_driver_that_does_not_answer_stops_no_probe(gpu, monkeypatch):
    monkeypatch.setattr("pynvml.nvmlInit", failing_nvml)
    assert used_bytes(CUDA) is None
    found = steps.train_under_cap(ASKED | {"context_bytes": 500 * MIB})
    assert (found["context_bytes"], found["nvml_bytes"]) == (500 * MIB, None)


def failing_nvml():
    raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)


def test_a_request_may_name_fewer_steps_and_shorter_solves(gpu, monkeypatch):
    asked = []
    monkeypatch.setattr(steps, "train", lambda *arguments, **options: asked.append((arguments[3], options)))
    steps.train_under_cap(ASKED | {"context_bytes": 1})
    steps.train_under_cap(ASKED | {"context_bytes": 1, "steps": 2, "solver_steps": 7})
    assert asked == [(steps.PROBE_STEPS, {"solver_steps": None}), (2, {"solver_steps": 7})]


def test_a_card_whose_processes_nvml_does_not_list_can_be_claimed(gpu):
    gpu.listing = NOT_SUPPORTED
    claim_gpu(CUDA, wait_s=0)
    gpu.listing, gpu.others = None, {NEIGHBOUR_PID: 2 * GIB}
    with pytest.raises(click.ClickException, match=f"in use by process {NEIGHBOUR_PID} with 2.0 GiB"):
        claim_gpu(CUDA, wait_s=0)
