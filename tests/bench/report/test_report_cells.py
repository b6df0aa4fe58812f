"""The page of every cell has a line for every record of the headline study, twins included."""

from bench.records import Status
from bench.records.paper import load_paper
from bench.report.render import render
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.cells import cells_page


def page(samples):
    records = load_records(samples.store)
    return cells_page(studies(records.accuracy, records.references)[0], load_paper())


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_every_record_has_a_line_with_its_quality_and_its_cost(samples):
    samples.fill_references()
    samples.accuracy("ct", "luser-dw", psnr=24.5, seed=0)
    samples.accuracy("ct", "luser-dw", psnr=24.0, seed=1)
    samples.accuracy("ct", "luser-dw", psnr=21.0, start="fbp")
    header, _, first, second, other = rows(page(samples))
    assert len({len(line) for line in (header, first, second, other)}) == 1
    assert first[:6] == ["CT", "the paper's", "LUSER-DW", "final", "float32", "0"]
    values = dict(zip(header, first, strict=True))
    assert (values["PSNR, dB"], values["Start, dB"], values["Over TV, dB"]) == ("24.50", "20.00", "+1.50")
    assert (values["Steps"], values["Kept"], values["Solver steps"]) == ("40", "35", "10.0 5.0")
    assert second[5] == "1"
    assert other[1] == "FBP"


def test_a_run_that_was_lost_says_so(samples):
    samples.accuracy("ct", "deq4ip", status=Status.DIVERGED)
    assert "diverged" in rows(page(samples))[2]


def test_trainings_in_another_precision_have_lines_too(samples):
    for precision in ("bf16", "fp32"):
        samples.accuracy("ct", "luser-dw", precision=precision)
    samples.accuracy("ct", "lu-dncnn", precision="bf16")
    assert [line[4] for line in rows(page(samples))[2:]] == ["bfloat16", "bfloat16", "float32"]


def test_the_front_page_leads_to_it(samples, tmp_path):
    samples.accuracy("ct", "luser-dw")
    render(samples.store.root, tmp_path / "reports")
    assert "](cells.md)" in (tmp_path / "reports" / "README.md").read_text()
    assert "LUSER-DW" in (tmp_path / "reports" / "cells.md").read_text()
