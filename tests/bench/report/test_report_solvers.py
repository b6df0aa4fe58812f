"""The race's tables and the figure of solver steps: which records, which ratios."""

import pytest

from bench.records.paper import load_paper
from bench.report.figures.solvers import solver_figure
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.solvers import methods_table, rules_table, shown_races


def races(samples):
    return shown_races(load_records(samples.store).solvers)


def texts(table):
    return [[cell.text.strip() for cell in row.cells] for row in table.body]


def test_one_block_a_size_and_tolerance_loosest_first(samples):
    for size, tolerance in ((128, 1e-4), (64, 1e-4), (64, 1e-3)):
        samples.solvers(size, tolerance)
    headings = [row[0] for row in texts(methods_table(races(samples))) if len(row) == 1]
    cross = "\N{MULTIPLICATION SIGN}"
    assert headings == [
        f"64{cross}64 pixels, tolerance 0.001",
        f"64{cross}64 pixels, tolerance 0.0001",
        f"128{cross}128 pixels, tolerance 0.0001",
    ]


def test_overhead_is_compared_with_the_same_method_of_torchdeq(samples):
    samples.solvers(overhead=0.002)
    rows = {(row[0], row[1]): row for row in texts(methods_table(races(samples))) if len(row) > 1}
    assert rows["ours", "Anderson"][5:7] == ["2", "0.25"]
    assert rows["TorchDEQ", "Anderson"][6] == "1.00"


def test_without_torchdeq_there_is_no_ratio(samples):
    samples.solvers(peers=())
    table = methods_table(races(samples))
    assert {row[6] for row in texts(table) if len(row) > 1} == {"\N{EN DASH}"}
    assert any("none installed" in note for note in table.notes)


def test_a_race_with_peers_wins_over_one_without(samples):
    samples.solvers(peers=())
    samples.solvers(peers=("torchdeq 0.1.0", "deepinv 0.5.0"))
    (race,) = races(samples)
    assert race.spec.peers == ("torchdeq 0.1.0", "deepinv 0.5.0")


def test_races_of_two_devices_are_not_mixed(samples):
    samples.solvers(64, device="first")
    samples.solvers(128, device="first")
    samples.solvers(64, 1e-4, device="second")
    assert {race.provenance.device for race in races(samples)} == {"first"}


def test_rules_are_compared_pair_by_pair(samples):
    samples.solvers()
    rows = {row[0]: row for row in texts(rules_table(races(samples))) if len(row) > 1}
    assert rows["recompute"][1:3] == ["2.1", "1.050"]
    assert rows["one-graph"][2] == "1.000"


def test_a_modified_checkout_is_marked(samples):
    samples.solvers(dirty=True)
    assert "\N{DAGGER} from a modified checkout, not a reference." in rules_table(races(samples)).notes


def test_stages_are_drawn_for_models_that_have_some(samples):
    samples.fill_accuracy(examples=False)
    (study,) = studies(load_records(samples.store).accuracy)
    figure = solver_figure(study, load_paper())
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert sorted(tuple(map(float, line.get_ydata())) for line in lines) == [(10, 4), (10, 4), (10, 5), (10, 5)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["LUSER-SW", "LUSER-DW", "started at zero", "warm start"]


@pytest.mark.parametrize("model", ["lu-dncnn", "deq4ip"])
def test_without_stages_there_is_no_figure(samples, model):
    samples.accuracy("ct", model, "final")
    (study,) = studies(load_records(samples.store).accuracy)
    assert solver_figure(study, load_paper()) is None
