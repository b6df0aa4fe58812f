"""What stands in the cells of Tables 2 and 3."""

import csv
import io

import pytest

from bench.records import Status
from bench.records.paper import load_paper
from bench.report.drawing.latex import latex, md, tex
from bench.report.drawing.layout import Cell, bytes_text, embolden_best, listing
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.table2 import accuracy_csv, accuracy_table
from tests.bench.report.table_text import lines

EN_DASH = "\N{EN DASH}"
PAPER = load_paper()


def table2(samples):
    return accuracy_table(studies(load_records(samples.store).accuracy)[0], PAPER, "table2")


def test_table_2_has_the_papers_rows_above_ours(samples):
    samples.fill_accuracy(examples=False)
    rows = lines(table2(samples))
    assert rows[0][:6] == ["Deblurring", "paper", "PSNR", "", "29.93", "30.39"]
    assert rows[2] == [
        "",
        "ours",
        "PSNR",
        "20.00",
        "24.00",
        "24.10",
        "24.50",
        "24.75",
        "24.85",
        "*25.50*",
        "*25.60*",
    ]
    assert [row[0] for row in rows if row[0]] == [
        "Deblurring",
        "CT",
        "4\N{MULTIPLICATION SIGN} MRI",
        "8\N{MULTIPLICATION SIGN} MRI",
    ]


def test_two_best_of_a_row_are_bold_with_ties_at_printed_precision():
    cells = embolden_best(
        [
            Cell("29.01"),
            Cell("29.02"),
            Cell("29.02"),
            Cell("30.00"),
            Cell(EN_DASH),
            Cell(""),
        ]
    )
    assert [cell.bold for cell in cells] == [False, True, True, True, False, False]


def test_two_figures_alone_are_no_contest():
    assert not any(cell.bold for cell in embolden_best([Cell("29.01"), Cell("29.02"), Cell(EN_DASH)]))


def test_missing_cells_are_dashes_with_a_note(samples):
    samples.accuracy("ct", "luser-dw", psnr=31.0)
    table = table2(samples)
    ct = lines(table)[6]
    assert ct == ["", "ours", "PSNR", "20.00", *[EN_DASH] * 5, "31.00", EN_DASH]
    assert f"{EN_DASH}: not measured." in table.notes


def test_dirty_records_are_marked(samples):
    samples.accuracy("ct", "luser-dw", psnr=31.0, dirty=True)
    table = table2(samples)
    assert lines(table)[6][-2] == "31.00†"
    assert "† from a modified checkout, not a reference." in table.notes


def test_clean_tables_have_no_marks(samples):
    samples.fill_accuracy(examples=False)
    assert not any(mark in note for note in table2(samples).notes for mark in ("†", "‡", EN_DASH))


def test_failures_say_so(samples):
    samples.accuracy("ct", "deq4ip", status=Status.DIVERGED)
    samples.accuracy("ct", "luser-sw", psnr=30.0, status=Status.NONCONVERGED)
    table = table2(samples)
    row = lines(table)[6]
    assert row[6] == "div."
    assert row[7] == "30.00‡"
    assert "div.: training diverged." in table.notes


def test_users_models_and_tasks_follow_the_papers(samples):
    samples.accuracy("ct", "user.nets:Mine", psnr=33.0)
    samples.accuracy("inpaint", "user.nets:Mine", psnr=34.0)
    table = table2(samples)
    assert [cell.text for cell in table.header[0].cells][-1] == "Mine"
    rows = lines(table)
    assert rows[4][-1] == ""
    assert rows[6][-1] == "33.00"
    assert rows[-2] == ["inpaint", "ours", "PSNR", "20.00", *[EN_DASH] * 7, "34.00"]
    assert len(rows) == 4 * 4 + 2


def test_table_2_says_what_it_was_measured_on(samples):
    samples.accuracy("ct", "luser-dw", data="slices", seed=1)
    samples.accuracy("ct", "luser-dw", data="slices", seed=4)
    notes = " ".join(table2(samples).notes)
    size = "32\N{MULTIPLICATION SIGN}32 pixels"
    training = (
        "40 steps of batch 4, under a minute per run, at most 64 training images, 6 test images, "
        "mean over seeds 1 and 4."
    )
    assert f"CT: images of 'slices', {size}, {training}" in notes


def test_table_2_says_which_models_trained_otherwise(samples):
    recipe = {"pretrain_steps": 30, "augmentation": ("crop",), "window": 0.5}
    for model in ("lu-dncnn", "luser-sw"):
        samples.accuracy("ct", model, recipe=recipe)
    samples.accuracy("ct", "deq4ip", steps=1000, recipe=recipe | {"pretrain_steps": 60})
    window = "16\N{MULTIPLICATION SIGN}16"
    training = (
        f"40 (DEQ4IP 1,000) steps of batch 4 in windows of {window} after 30 (DEQ4IP 60) steps of denoiser pretraining"
    )
    assert training in " ".join(table2(samples).notes)


def test_csv_has_every_cell_with_its_interval(samples):
    samples.accuracy("ct", "luser-dw", psnr=31.0)
    study = studies(load_records(samples.store).accuracy)[0]
    rows = list(csv.DictReader(io.StringIO(accuracy_csv(study, PAPER))))
    assert len(rows) == 4 * 7 * 2
    (row,) = [row for row in rows if row["mean"] and row["metric"] == "psnr_db"]
    assert (row["paper"], row["mean"], row["start"], row["images"], row["groups"]) == (
        "31.83",
        "31",
        "20",
        "6",
        "3",
    )
    assert float(row["low95"]) < 31 < float(row["high95"])


@pytest.mark.parametrize(
    ("count", "text"),
    [(8 * 2**30, "8 GiB"), (8 * 10**9, "8 GB"), (512 * 2**20, "0.5 GiB"), (int(7.5 * 2**30), "7.5 GiB")],
)
def test_capacities(count, text):
    assert bytes_text(count) == text


def test_listings():
    assert listing([]) == ""
    assert listing([3, 3]) == "3"
    assert listing([1, 2, 3]) == "1, 2 and 3"


def test_plain_text_survives_latex_and_markdown():
    assert (
        tex("50 % of a_b & {c} \N{EN DASH} 4\N{MULTIPLICATION SIGN} †")
        == r"50 \% of a\_b \& \{c\} -- 4$\times$ $^{\dagger}$"
    )
    assert md("a_b [c] | <d>") == r"a\_b \[c\] \| \<d\>"


def test_latex_bolds_spans_and_underlines(samples):
    samples.fill_accuracy(examples=False)
    text = latex(table2(samples))
    assert r"\multicolumn{2}{c}{LU-DnCNN}" in text
    assert r"\cmidrule(lr){5-6}" in text
    assert r"\textbf{31.57}" in text
    assert text.count(r"\midrule") == 4


def test_a_cell_trained_in_two_precisions_is_compared_beside_the_table(samples):
    samples.accuracy("ct", "luser-dw", precision="bf16", psnr=31.0)
    samples.accuracy("ct", "lu-dncnn", precision="bf16", psnr=30.0)
    samples.accuracy("ct", "luser-dw", psnr=31.25, hours=9)
    samples.accuracy("ct", "luser-dw", steps=50, psnr=32.0, hours=10)
    table = table2(samples)
    (note,) = (note for note in table.notes if "minus" in note)
    assert note.startswith(
        "CT, LUSER-DW, final loss, bfloat16 minus float32 with the same steps and seed: \N{MINUS SIGN}0.25 dB"
    )
    assert "31.00" in lines(table)[6]


def test_a_cell_that_misses_its_fixed_points_is_marked(samples):
    scores = samples.items(30.0, 0.8, 10)
    missed = [score.model_copy(update={"residual": 2e-2}) for score in scores]
    reached = [score.model_copy(update={"residual": 1e-2}) for score in scores]
    samples.accuracy("ct", "deq4ip", images=(*missed[:2], *reached[2:]))
    samples.accuracy("ct", "luser-dw", images=(*missed[:1], *reached[1:]))
    table = table2(samples)
    assert [cell.mark for cell in table.body[6].cells if cell.text == "30.00"] == ["§", ""]
    assert any(note.startswith("§ fixed points not reached") for note in table.notes)


def test_networks_from_two_starts_stand_under_each_other(samples):
    samples.fill_references()
    samples.accuracy("ct", "luser-dw", psnr=36.0, start="fbp")
    samples.accuracy("ct", "luser-dw", "aux", psnr=36.5, start="fbp")
    samples.accuracy("ct", "luser-dw", psnr=33.0)
    samples.accuracy("deblur", "luser-dw", psnr=31.0)
    table = table2(samples)
    rows = [row for row in lines(table) if row[1].startswith("ours")]
    assert [row[1] for row in rows[:3]] == ["ours", "ours, from FBP", "ours, from A\N{MODIFIER LETTER CAPITAL T}y"]
    assert rows[1][-2:] == ["36.00", "36.50"]
    assert rows[2][-2:] == ["33.00", EN_DASH]
    notes = " ".join(table.notes)
    assert "CT (from FBP) and CT (from A\N{MODIFIER LETTER CAPITAL T}y): generated images" in notes
    written = list(csv.DictReader(io.StringIO(accuracy_csv(studies(load_records(samples.store).accuracy)[0], PAPER))))
    found = {(row["starts_from"], row["mean"]) for row in written if row["task"] == "ct" and row["metric"] == "psnr_db"}
    assert {("fbp", "36"), ("fbp", "36.5"), ("adjoint", "33")} <= found
