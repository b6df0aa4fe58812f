"""Largest batches by the flags that choose kernels: beside the paper's, and apart from every other table."""

import pytest

from bench.records import GIB, MemorySpec, MemoryValues
from bench.records.paper import load_paper
from bench.report.selection.records import load_records
from bench.report.tables.memory_flags import flags_table

SPEC = MemorySpec(
    task="deblur",
    model="luser-sw",
    image_shape=(218, 178),
    policy="recompute",
    cap_bytes=8 * GIB,
    backend="simulate",
)


@pytest.fixture
def measured(samples):
    """LUSER-SW under two settings, and LU-DnCNN, which is in no row."""
    for spec, batch, slower in (
        (SPEC, 84, None),
        (SPEC.model_copy(update={"tf32": True}), 70, 78),
        (SPEC.model_copy(update={"model": "lu-dncnn"}), 22, None),
    ):
        values = MemoryValues(
            max_batch=batch,
            parameters=1,
            trainable_parameters=1,
            peak_bytes=8 * GIB,
            next_peak_bytes=9 * GIB,
            slower_batch=slower,
            probes=(),
        )
        samples.add(spec, values)
    return load_records(samples.store)


def test_every_setting_has_a_row_beside_the_papers(measured):
    paper = load_paper()
    theirs = paper.largest_batch("deblur", "luser-sw", 8 * GIB)
    rows = [tuple(cell.text for cell in row.cells) for row in flags_table(measured.memory_flags, paper).body]
    assert [row[1:] for row in rows] == [
        ("float32 (all other tables)", "84", f"{84 / theirs:.1f}"),
        ("TensorFloat-32", "70 (78)", f"{70 / theirs:.1f}"),
    ]


def test_other_tables_hold_the_flags_that_memory_is_measured_with(measured):
    assert {entry.spec.tf32 for entry in measured.memory} == {False}
    assert flags_table(measured.memory, load_paper()) is None
