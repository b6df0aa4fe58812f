"""What stands in the cells of Table 4."""

import pytest

from bench.records import Status
from bench.records.paper import load_paper
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.table4 import comparison_table, milliseconds_text
from bench.report.tables.table4_entries import Comparison

EN_DASH = "\N{EN DASH}"
PAPER = load_paper()


def table4(samples):
    records = load_records(samples.store)
    groups = studies(records.accuracy)
    return comparison_table(Comparison(records, groups[0] if groups else None, PAPER))


def lines(table):
    """A table's rows as texts, with the marks behind them and '*' around bold ones."""
    return [[f"*{c.text}*" if c.bold else c.text + c.mark for c in row.cells] for row in table.body]


def test_table_4_puts_words_over_measurements(samples):
    samples.fill()
    rows = lines(table4(samples))
    assert rows[0] == ["*Training time*", "the paper's word", "Fast", "Slow", "Moderate"]
    # The median of (t, 9 t, t) over a batch of 2; its own maximum in brackets.
    assert rows[1] == ["  Deblurring", "ms, batch 2", "50", "100", "150", "200"]
    assert rows[2][1:] == ["ms, maximum batch under 24 GiB", "300 (1)", "37.5 (16)", "90 (10)", "120 (10)"]
    assert rows[3][1:] == ["operator calls", "16 + 16", "43 + 40", "16 + 16", "16 + 16"]
    memory = [row for row in rows if row[1] == "GiB per image under 24 GiB, simulated"]
    assert memory[0][2:] == ["10.8", "0.45", "0.72", "0.72"]
    stability = [row for row in rows if row[1] in ("skipped training steps", "diverged runs")]
    assert stability[0][2:] == ["0 of 320", "4 of 160", "0 of 320", "0 of 320"]
    assert stability[1][2:] == ["0 of 8", "0 of 4", "0 of 8", "0 of 8"]
    (residuals,) = [row for row in rows if row[1] == "residual, backward residual"]
    assert residuals[2:] == ["no fixed point", *["2e-03, 2e-02"] * 3]


def test_table_4_counts_diverged_runs(samples):
    samples.accuracy("ct", "deq4ip", status=Status.DIVERGED)
    rows = lines(table4(samples))
    (row,) = [row for row in rows if row[1] == "diverged runs"]
    assert row[2:] == [EN_DASH, "1 of 1", EN_DASH, EN_DASH]


def test_table_4_times_one_device_and_names_the_others(samples):
    for model in ("lu-dncnn", "luser-dw"):
        samples.timing("ct", model, device="NVIDIA Test", seconds=0.01)
    samples.timing("ct", "luser-dw", device="slow", seconds=1.0, hours=9)
    table = table4(samples)
    (row,) = [row for row in lines(table) if row[0] == "  CT" and row[1] == "ms, batch 2" and row[2] == "5"]
    assert row[2:] == ["5", EN_DASH, EN_DASH, "5"]
    assert any("NVIDIA Test" in note and "not shown: timings on slow" in note for note in table.notes)


def test_table_4_says_where_nothing_fits(samples):
    samples.memory("ct", "lu-dncnn", 8, 0)
    rows = lines(table4(samples))
    assert ["  CT", "GiB per image under 8 GiB, simulated", "does not fit", *[EN_DASH] * 3] in rows


def test_table_4_without_records_keeps_the_words(samples):
    samples.accuracy("ct", "luser-dw")
    rows = lines(table4(samples))
    assert sum(row[1] == "the paper's word" for row in rows) == 6
    assert ["  CT", "ms", *[EN_DASH] * 4] in rows


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.2345e-4, "0.123"), (0.0123, "12.3"), (0.9996, "1,000"), (1.234, "1,230")]
)
def test_milliseconds(seconds, text):
    assert milliseconds_text(seconds) == text


def test_table_4_shows_the_memory_of_full_precision(samples):
    samples.memory("ct", "luser-dw", 24, 10)
    samples.memory("ct", "luser-dw", 24, 20, precision="bf16", hours=1)
    (row,) = [
        row for row in lines(table4(samples)) if row[1] == "GiB per image under 24 GiB, simulated" and "CT" in row[0]
    ]
    assert row[-1] == "2.16"
