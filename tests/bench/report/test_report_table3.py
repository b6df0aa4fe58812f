"""Table 3 stands beside the paper."""

from bench.records.paper import load_paper
from bench.report.selection.records import load_records
from bench.report.tables.table3 import MemoryStudy, memory_table
from tests.bench.report.table_text import lines

EN_DASH = "\N{EN DASH}"
PAPER = load_paper()


def table3(samples):
    return memory_table(MemoryStudy(load_records(samples.store).memory, PAPER))


def test_table_3_stands_beside_the_paper(samples):
    samples.fill_memory()
    rows = lines(table3(samples))
    assert rows[4][:3] == ["CT", "#Params", ""]
    assert rows[4][3::3] == rows[4][4::3] == ["556,033", "556,033", "93,954", "751,625"]
    assert rows[5][:6] == ["362\N{MULTIPLICATION SIGN}362", "8 GiB", "simulated", "0", "0", "6"]
    assert len(rows) == 3 * 4


def test_table_3_names_what_trains(samples):
    samples.fill_memory()
    notes = " ".join(table3(samples).notes)
    assert "Trainable only: Deblurring DEQ4IP 556,033, LU-DnCNN 556,033 and LUSER-SW 93,954." in notes


def test_table_3_without_recomputation_has_no_column_for_it(samples):
    samples.fill_memory(policies=("paper",))
    table = table3(samples)
    assert "rec." not in [cell.text for cell in table.header[1].cells]
    assert len(table.columns) == 3 + 4 * 2


def test_table_3_tells_gpus_from_simulations_and_keeps_other_caps(samples):
    samples.memory("ct", "luser-dw", 8, 2)
    samples.memory("ct", "luser-dw", 8, 4, backend="cuda", device="NVIDIA Test")
    samples.memory("ct", "luser-dw", 80, 40, backend="cuda", device="NVIDIA Test")
    rows = [row for row in lines(table3(samples)) if row[2]]
    assert [row[1:3] + row[-2:] for row in rows] == [
        ["8 GiB", "simulated", "2", "2"],
        ["", "Test", "", "4"],
        ["80 GiB", "Test", "", "40"],
    ]


def test_table_3_without_records_has_all_of_the_papers_cells(samples):
    rows = lines(memory_table(MemoryStudy((), PAPER)))
    assert len(rows) == 3 * 4
    assert rows[1] == ["", "8 GB", "", "1", EN_DASH, "16", EN_DASH, "10", EN_DASH, "10", EN_DASH]
