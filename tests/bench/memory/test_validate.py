"""Validation: a simulation beside what was measured on a GPU."""

import pytest

from bench.memory.calibration import DOCUMENTED, Calibration
from bench.memory.replay import replay
from bench.memory.simulate import simulated_batch, trace_key
from bench.memory.traces import trace_of
from bench.memory.validate import compare
from bench.records import MIB, MemoryValues, Probe, Status
from tests.records import make_provenance, make_record, make_spec

SPEC = make_spec(
    task="deblur", model="deq4ip", image_shape=(48, 48), policy="recompute", cap_bytes=1024 * MIB, backend="cuda"
)
CONTEXT = 500 * MIB


PLACE = {"device": "A GPU", "torch": "2.13.0+cu130", "cuda": "13.0", "cudnn": "91300", "flags": {"tf32": False}}
CALIBRATION = Calibration(
    gpu="A GPU",
    torch="2.13.0",
    cuda="13.0",
    cudnn="91300",
    driver="580",
    flags={"tf32": False},
    total_bytes=80_000 * MIB,
    context_bytes=CONTEXT,
    handle_bytes=48 * MIB,
    calls={},
)


def measured(batch, peak_bytes, spec=SPEC, place=PLACE, **probe):
    probes = (
        Probe(batch=batch, peak_bytes=peak_bytes, fits=True, **({"context_bytes": CONTEXT} | probe)),
        Probe(batch=batch + 2, peak_bytes=2 * peak_bytes, fits=False),
    )
    values = MemoryValues(
        max_batch=batch,
        parameters=5,
        trainable_parameters=4,
        peak_bytes=peak_bytes,
        next_peak_bytes=2 * peak_bytes,
        probes=probes,
    )
    return make_record(spec=spec, values=values, provenance=make_provenance(**place))


@pytest.fixture(scope="module")
def simulated():
    """The reserved peak at batch 4, the context not counted."""
    return replay(trace_of(trace_key(SPEC)), 4, DOCUMENTED.expected).peak_reserved


def test_an_error_is_that_of_the_allocator_at_the_measured_batch(simulated):
    found = compare(measured(4, CONTEXT + 2 * simulated), {})
    assert (found.measured_bytes, found.simulated_bytes) == (2 * simulated, simulated)
    assert found.error == -0.5
    assert (found.measured_batch, found.simulated_batch) == (4, simulated_batch(SPEC))


def test_a_simulation_above_the_cap_is_compared_as_it_is_without_one(simulated):
    tight = SPEC.model_copy(update={"cap_bytes": DOCUMENTED.expected.context_bytes + simulated // 2})
    assert compare(measured(4, CONTEXT + simulated, tight), {}).simulated_bytes == simulated


@pytest.mark.parametrize(
    ("change", "calibrated"),
    [
        ({}, True),
        ({"device": "Another GPU"}, False),
        ({"torch": "2.12.0+cu130"}, False),
        ({"cuda": "12.8"}, False),
        ({"cudnn": "91200"}, False),
        ({"flags": {"tf32": True}}, False),
        ({"cuda": None, "cudnn": None, "flags": {}}, False),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_calibration_is_of_the_same_gpu_libraries_and_flags(change, calibrated, simulated, monkeypatch):
    known = {CALIBRATION.key: CALIBRATION}
    monkeypatch.setattr("bench.memory.simulate.calibrations", lambda: known)
    found = compare(measured(4, CONTEXT + simulated, place=PLACE | change), known)
    assert found.calibration == (CALIBRATION.key if calibrated else None)
    assert (found.simulated_bytes > simulated) == calibrated  # cuBLAS's workspace


@pytest.mark.parametrize(
    "record",
    [
        measured(4, 2 * CONTEXT, make_spec()),
        measured(4, 2 * CONTEXT, context_bytes=None),
        make_record(spec=SPEC, status=Status.FAILED, values=None),
    ],
    ids=["simulated", "no context", "no values"],
)
def test_other_records_are_left_out(record):
    assert compare(record, {}) is None
