"""Real steps beside simulated ones: a row a model and policy, and what scratch does not explain shows."""

from bench.records import GIB, MIB, CheckSpec, CheckValues
from bench.records.paper import load_paper
from bench.report.render import render
from bench.report.selection.records import load_records
from bench.report.tables.memory_check import check_table


def add(samples, model, policy, difference_bytes):
    spec = CheckSpec(task="deblur", model=model, image_shape=(218, 178), policy=policy, batch=1)
    simulated = GIB // 2
    values = CheckValues(
        profiled_bytes=simulated + difference_bytes, simulated_bytes=simulated, map_bytes=8 * MIB, weight_bytes=MIB
    )
    samples.add(spec, values)


def test_every_check_is_a_row_in_the_papers_order(samples):
    add(samples, "luser-sw", "recompute", 20 * MIB)
    add(samples, "lu-dncnn", "paper", 8 * MIB)
    table = check_table(load_records(samples.store).checks, load_paper())
    texts = [[cell.text for cell in row.cells] for row in table.body]
    assert texts[0][2:] == ["all stages", "0.5000", "0.5078", "+1.00", "yes"]
    assert texts[1][2:] == ["recompute", "0.5000", "0.5195", "+2.50", "no"]
    assert [bool(row[0]) for row in texts] == [True, False]
    assert check_table([], load_paper()) is None


def test_the_page_shows_them(samples, tmp_path):
    add(samples, "deq4ip", "paper", 0)
    render(samples.store.root, tmp_path / "reports")
    page = (tmp_path / "reports" / "README.md").read_text()
    assert "![Simulated memory versus real CPU steps](memory-check.png)" in page
