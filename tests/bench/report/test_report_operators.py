"""The operators' figure, table and captions: which records, which ratios."""

import csv
import io

import pytest

from bench.report.figures.operators import operator_figure
from bench.report.render import render
from bench.report.selection.records import load_records
from bench.report.tables.operator_times import Spread, shown_operators, times_summary
from bench.report.tables.operators import operators_csv, operators_table

DASH, CROSS = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def shown(samples):
    return shown_operators(load_records(samples.store).operators)


def texts(table):
    return [[cell.text.strip() for cell in row.cells] for row in table.body]


def test_one_block_an_operator_and_scan_in_a_fixed_order(samples):
    for operator, scan in (("fourier", "paper"), ("radon", "1000"), ("radon", "lodopab"), ("blur", "paper")):
        samples.operators(operator, scan)
    samples.operators()
    assert [row[0] for row in texts(operators_table(shown(samples))) if len(row) == 1] == [
        f"Radon, 362{CROSS}362, 200 angles kπ/200, 513 detectors",
        f"Radon, 362{CROSS}362, 200 angles (k + 0.1)π/200, 513 detectors",
        f"Radon, 362{CROSS}362, 200 angles kπ/200, 513 detectors",
        f"Gaussian blur, 362{CROSS}362",
        f"Subsampled Fourier, 362{CROSS}362",
    ]


def test_times_are_an_images_and_ratios_are_to_ours_with_both_spreads(samples):
    samples.operators()
    (times,) = shown(samples)
    ours, astra = times.libraries
    assert times.image_ms(ours, "forward", 1) == pytest.approx(Spread(3, 4, 6))
    assert times.image_ms(astra, "forward", 8).mid == pytest.approx(80)
    ratio = times.ratio(astra, "forward", 8)
    assert (ratio.low, ratio.mid, ratio.high) == pytest.approx((5, 10, 20))
    assert times.ratio(astra, "adjoint", 8) is None


def test_the_table_prints_what_was_called_and_a_dash_for_the_rest(samples):
    samples.operators()
    table = operators_table(shown(samples))
    ours, astra = texts(table)[1:]
    assert ours == ["ours, matrix", "4", "1", "8", "1", "4", "1", "8", "1", "108.0", "0.4", "0", "0"]
    ratio = f"10 (5{DASH}20)"
    assert astra[:9] == ["ASTRA, linear, 2 threads", "40", ratio, "80", ratio, "40", ratio, DASH, DASH]
    assert astra[9:] == ["0.0", "0.4", "2e-05", "5e-05"]
    assert any(note.startswith(f"{DASH}: not measured") for note in table.notes)


def test_claims_say_speed_linear_cost_and_storage(samples):
    samples.operators()
    text = times_summary(*shown(samples))
    ratio = f"10{CROSS} (5{DASH}20{CROSS})"
    assert f"{ratio} forward and {ratio} adjoint at batch 1, {ratio} forward at batch 8." in text
    assert f"Doubling the input costs 1.50{DASH}2.00{CROSS} (batch), 1.60{DASH}1.60{CROSS} (angles)." in text
    assert text.endswith("Ours stores 108 MB, built in 0.4 s.")


def test_without_peers_there_is_nothing_to_compare(samples):
    samples.operators(peers=())
    assert "Speedup" not in times_summary(*shown(samples))
    assert any("none installed" in note for note in operators_table(shown(samples)).notes)


@pytest.mark.parametrize("first", [True, False])
def test_full_size_and_more_peers_win(samples, first):
    small = {"size": 64, "hours": 5}
    for origin in ({"hours": 0}, small) if first else (small, {"hours": 0}):
        samples.operators(**origin)
    samples.operators(peers=(), hours=9)
    (times,) = shown(samples)
    assert times.entry.spec.image_shape == (362, 362)
    assert times.entry.spec.peers == ("astra-toolbox 2.5",)


def test_devices_and_numbers_of_threads_are_not_mixed(samples):
    samples.operators("radon", "kpi", device="first")
    samples.operators("radon", "lodopab", device="first")
    samples.operators("radon", "kpi", device="second", hours=1)
    samples.operators("radon", "1000", device="first", threads=16, hours=1)
    found = shown(samples)
    assert {(times.entry.provenance.device, times.entry.provenance.threads) for times in found} == {("first", 2)}
    assert len(found) == 2


def test_the_figure_has_a_panel_a_direction_and_batch_with_the_same_axis(samples):
    samples.operators()
    samples.operators("blur", "paper", ours=0.0004)
    figure = operator_figure(shown(samples))
    titles = [axis.get_title(loc="left").strip() for axis in figure.axes]
    assert titles == [f"{way}, batch {batch}" for way in ("forward", "adjoint") for batch in (1, 8)] * 2
    assert len({axis.get_xlim() for axis in figure.axes[:4]}) == 1
    assert figure.axes[0].get_xlim() != figure.axes[4].get_xlim()
    labels = [[text.get_text() for text in axis.texts] for axis in figure.axes[:4]]
    assert labels[1] == ["8 ms", f"10{CROSS}"]
    assert labels[3] == ["8 ms", "too slow to call"]
    left, right = figure.axes[0].get_xlim()
    assert left < 3 < 60 < right


def test_the_csv_holds_every_call_made(samples):
    samples.operators(dirty=True)
    rows = list(csv.DictReader(io.StringIO(operators_csv(shown(samples)))))
    assert len(rows) == 7
    last = rows[-1]
    assert (last["library"], last["direction"], last["batch"], last["calls"]) == ("astra", "adjoint", "1", "3")
    assert (last["image_ms"], last["ratio_low"], last["ratio_high"]) == ("40", "5", "20")
    assert last["dirty"] == "True"


def test_records_of_operators_alone_make_a_page(samples, tmp_path):
    samples.operators()
    names = {path.name for path in render(samples.store.root, tmp_path)}
    assert {"operators.png", "operators-table.tex", "operators-table.png", "operators-table.csv"} < names
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## Operators\n" in page
    assert "python -m bench.operators\n" in page
    assert "radon" not in (tmp_path / "table4.tex").read_text(encoding="utf-8")
