"""Memory in detail: what the paper's caps imply, and where we disagree."""

import pytest

from bench.records import MemoryValues, Probe, Record, Status
from bench.records.paper import load_paper
from bench.records.store import ResultStore
from bench.report.selection.records import load_records
from bench.report.tables.memory_detail import disagreements, implied, memory_detail_table
from tests.records import make_provenance, make_spec

PAPER = load_paper()
GIB = 2**30


def entries(tmp_path, batches, model="luser-sw", **changes):
    store = ResultStore(tmp_path)
    for cap, batch in zip((8, 10, 24), batches, strict=True):
        values = MemoryValues(
            max_batch=batch,
            parameters=5,
            trainable_parameters=4,
            peak_bytes=GIB,
            next_peak_bytes=2 * GIB,
            bytes_per_image=GIB // 2,
            sure_batch=batch - 2,
            possible_batch=batch,
            probes=(Probe(batch=batch, peak_bytes=GIB, fits=True),),
        )
        spec = make_spec(task="deblur", model=model, image_shape=(218, 178), cap_bytes=cap * GIB, **changes)
        store.add(Record(spec=spec, status=Status.OK, values=values, provenance=make_provenance()))
    return load_records(store).memory


def test_caps_imply_bytes_per_image():
    # 8 GiB / 10, 10 GiB / 14 and 24 GiB / 34 from above; 7.4 / 12, 9.4 / 16 and 23.4 / 36 from below.
    assert implied("deblur", "luser-sw", PAPER) == "0.65-0.71"
    assert implied("deblur", "somebody:Else", PAPER) == ""


def test_one_even_step_is_agreement_and_two_are_told_with_figures(tmp_path):
    assert disagreements(entries(tmp_path / "near", (10, 14, 36)), PAPER) == ()
    (line,) = disagreements(entries(tmp_path / "far", (10, 14, 38)), PAPER)
    assert line == (
        "LUSER-SW, Deblurring: ours 10/14/38, the paper's 10/14/34. Our step takes 0.50 GiB per image, the "
        "paper's batches imply 0.65-0.71."
    )


@pytest.mark.parametrize(("precision", "theirs"), [("fp32", "0.65-0.71"), ("bf16", "")])
def test_a_row_has_bounds_and_bytes(tmp_path, precision, theirs):
    (row,) = memory_detail_table(entries(tmp_path, (10, 14, 36), precision=precision), PAPER).body
    texts = [cell.text for cell in row.cells]
    assert texts[1:4] == ["LUSER-SW", "one graph", precision]
    assert texts[4:] == ["10 (8-10)", "14 (12-14)", "36 (34-36)", "0.50", theirs, "\N{EN DASH}"]


@pytest.mark.parametrize(
    ("precision", "timed", "shown"),
    [
        ("fp32", [("common", 2, 0.5)], "0.25 (2)"),
        ("fp32", [("common", 2, 0.5), ("maximum", 10, 1.234)], "0.123 (10)"),
        ("bf16", [("common", 2, 0.5)], "\N{EN DASH}"),
    ],
)
def test_a_row_has_the_seconds_an_image_of_the_largest_batch_timed(tmp_path, samples, precision, timed, shown):
    for rule, batch, seconds in timed:
        samples.timing("deblur", "luser-sw", batch=batch, rule=rule, seconds=seconds)
        samples.timing("deblur", "luser-sw", batch=batch, rule=rule, seconds=9.0, policy="recompute")
    timing = load_records(samples.store).timing
    memory = entries(tmp_path / "memory", (10, 14, 36), precision=precision)
    table = memory_detail_table(memory, PAPER, timing)
    assert table.body[0].cells[-1].text == shown
    assert any("on test device, at 218\N{MULTIPLICATION SIGN}178 pixels" in note for note in table.notes)
