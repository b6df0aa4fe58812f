"""Made-up records for tests of whatever stores, runs or selects records."""

from datetime import datetime, timezone

from bench.records import MemorySpec, MemoryValues, Probe, Provenance, Record, Status


def make_provenance(**changes):
    fields = dict(
        created=datetime(2026, 1, 2, tzinfo=timezone.utc),
        commit="0" * 40,
        dirty=False,
        device="test device",
        python="3.11",
        torch="2.13.0",
        platform="test",
        threads=1,
    )
    return Provenance(**(fields | changes))


def make_spec(**changes):
    fields = dict(task="ct", model="luser-dw", image_shape=(8, 8), policy="paper", cap_bytes=2**33, backend="simulate")
    return MemorySpec(**(fields | changes))


def make_record(status=Status.OK, **changes):
    values = MemoryValues(
        max_batch=2,
        parameters=5,
        trainable_parameters=4,
        peak_bytes=100,
        next_peak_bytes=200,
        probes=(Probe(batch=2, peak_bytes=100, fits=True), Probe(batch=4, peak_bytes=200, fits=False)),
    )
    fields = dict(spec=make_spec(), status=status, values=values, provenance=make_provenance())
    return Record(**(fields | changes))
