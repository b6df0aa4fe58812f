"""Methods without training, the spread between seeds, and what the records show of the paper's claims."""

import csv
import io

import pytest

from bench.evaluation.bootstrap import Difference, difference
from bench.records import ImageScore
from bench.records.paper import Claim, load_paper
from bench.report.figures.convergence import convergence_figure, courses
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.claims import claims_table, verdict
from bench.report.tables.table2 import accuracy_csv, accuracy_table

PAPER = load_paper()
CLAIM = Claim(
    text="A beats B", place="here", relation="better", first="luser-dw/final", second="lu-dncnn/final", tasks=("ct",)
)


def headline(samples):
    records = load_records(samples.store)
    return studies(records.accuracy, records.references)[0]


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.body]


def scores(values, groups=None):
    names = groups or [f"group-{n}" for n in range(len(values))]
    return [
        ImageScore(name=str(n), group=group, start_psnr_db=0, start_ssim=0, psnr_db=value, ssim=0)
        for n, (value, group) in enumerate(zip(values, names, strict=True))
    ]


def claimed(samples, text="LUSER-DW outperforms LU-DnCNN", task=1):
    """The three lines of a claim in one task's column."""
    rows = texts(claims_table(headline(samples), PAPER, "claims"))
    place = next(place for place, row in enumerate(rows) if row[0] == text)
    return [row[2 + task] for row in rows[place : place + 3]]


def test_table_2_shows_methods_without_training_on_the_same_images_only(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0)
    samples.accuracy("deblur", "luser-dw", psnr=25.0)
    samples.reference("ct", "fbp", psnr=22.0)
    samples.reference("ct", "tv", psnr=23.0)
    samples.reference("deblur", "tv", psnr=24.0, data="other/images")
    samples.reference("ct", "tv", psnr=99.0, test_images=3)
    table = accuracy_table(headline(samples), PAPER, "table2")
    assert [cell.text for cell in table.header[1].cells][3:6] == ["Start", "FBP", "TV"]
    rows = texts(table)
    assert rows[2][3:6] == ["20.00", "", ""]
    assert rows[6][3:6] == ["20.00", "22.00", "23.00"]


def test_table_2_says_which_networks_do_not_beat_total_variation_and_by_how_much(samples):
    for model, psnr in (("lu-dncnn", 22.75), ("luser-dw", 25.0)):
        samples.accuracy("ct", model, psnr=psnr)
        samples.accuracy("mri4x", model, psnr=psnr + 1)
    samples.reference("ct", "tv", psnr=23.0)
    samples.reference("mri4x", "tv", psnr=23.0)
    notes = accuracy_table(headline(samples), PAPER, "table2").notes
    assert "CT: below TV by LU-DnCNN final 0.25 (0.25 to 0.25; +0.30)." in notes
    assert sum(note.startswith("Below TV: mean difference in dB") for note in notes) == 1
    assert "4\N{MULTIPLICATION SIGN} MRI: every network beats TV, by 0.75 to 3.00 dB." in notes


def test_the_spread_of_two_seeds_stands_beside_the_mean(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0, seed=0)
    samples.accuracy("ct", "luser-dw", psnr=25.5, seed=1)
    for model in ("lu-dncnn", "luser-sw"):
        samples.accuracy("ct", model, psnr=24.0)
    study = headline(samples)
    table = accuracy_table(study, PAPER, "table2")
    row = table.body[6].cells
    assert [cell.text for cell in row if cell.bold] == ["24.00", "24.00", "25.25 \N{PLUS-MINUS SIGN} 0.25"]
    assert any("Without it: one seed" in note for note in table.notes)
    rows = list(csv.DictReader(io.StringIO(accuracy_csv(study, PAPER))))
    assert [row["spread"] for row in rows if row["mean"] and row["metric"] == "psnr_db"] == ["", "", "0.25"]


def test_one_seed_has_no_spread_and_a_note(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0)
    table = accuracy_table(headline(samples), PAPER, "table2")
    assert "One seed per cell: the spread between seeds is unknown." in table.notes
    assert not any("\N{PLUS-MINUS SIGN}" in cell.text for row in table.body for cell in row.cells)


def test_csv_has_methods_without_training_with_their_setting(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0)
    samples.reference("ct", "tv", psnr=23.0, setting={"weight": 0.002})
    rows = list(csv.DictReader(io.StringIO(accuracy_csv(headline(samples), PAPER))))
    (row,) = [row for row in rows if row["model"] == "tv" and row["metric"] == "psnr_db" and row["mean"]]
    assert (row["task"], row["mean"], row["loss"], row["images"]) == ("ct", "23", "weight=0.002", "6")


def test_a_difference_is_taken_image_by_image_and_averaged_over_seeds():
    first = scores([30.0, 20.0, 10.0]) + scores([32.0, 22.0, 12.0])
    gap = difference(first, scores([29.0, 19.0, 9.0]))
    assert (gap.mean_db, gap.low_db, gap.high_db) == pytest.approx((2.0, 2.0, 2.0))


def test_a_difference_counts_groups_not_images():
    values = [1.0] * 8 + [-1.0] * 8
    by_image = difference(scores(values), scores([0.0] * 16))
    groups = ["a"] * 8 + ["b"] * 8
    by_patient = difference(scores(values, groups), scores([0.0] * 16, groups))
    assert by_patient.high_db == 1.0 > by_image.high_db
    assert difference(scores(values, ["a"] * 16), scores([0.0] * 16, ["a"] * 16)).low_db is None


def test_cells_without_a_common_image_are_not_compared():
    assert difference(scores([1.0]), []) is None


@pytest.mark.parametrize(
    ("relation", "low", "high", "seeds", "expected"),
    [
        ("better", 0.1, 0.9, [0.5, 0.4], "reproduced"),
        ("better", -0.9, -0.1, [-0.5], "not reproduced"),
        ("better", -0.1, 0.9, [0.5], "undecided"),
        ("better", 0.1, 0.9, [1.2, -0.2], "undecided"),
        ("better", None, None, [0.5], "undecided"),
        ("similar", -0.4, 0.3, [], "reproduced"),
        ("similar", 0.6, 0.9, [], "not reproduced"),
        ("similar", -0.9, -0.6, [], "not reproduced"),
        ("similar", 0.2, 0.9, [], "undecided"),
    ],
)
def test_verdicts(relation, low, high, seeds, expected):
    claim = CLAIM.model_copy(update={"relation": relation})
    assert verdict(claim, Difference(0.5, low, high), seeds) == expected


def test_claims_stand_beside_the_papers_difference(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0)
    samples.accuracy("ct", "lu-dncnn", psnr=24.0)
    assert claimed(samples) == ["+1.24", "+1.00 [+1.00, +1.00]", "reproduced"]
    assert claimed(samples, task=0) == ["+1.47", "\N{EN DASH}", ""]
    assert claimed(samples, "LUSER-SW is above LU-DnCNN") == ["", "", ""]


def test_seeds_that_disagree_leave_a_claim_undecided(samples):
    for seed, psnr in ((0, 25.0), (1, 26.0)):
        samples.accuracy("ct", "luser-dw", psnr=psnr, seed=seed)
    for seed, psnr in ((0, 25.1), (1, 24.0)):
        samples.accuracy("ct", "lu-dncnn", psnr=psnr, seed=seed)
    assert claimed(samples)[2] == "undecided"


def test_every_claim_names_columns_and_tasks_of_the_papers_table():
    for claim in PAPER.claims:
        for task in claim.tasks:
            for column in (claim.first, claim.second):
                assert PAPER.accuracy(task, "psnr_db", *column.split("/")) is not None


def test_without_a_claimed_cell_there_is_no_table(samples):
    samples.accuracy("ct", "user.nets:Mine")
    assert claims_table(headline(samples), PAPER, "claims") is None


def test_convergence_has_steps_and_minutes_of_the_final_loss(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0, steps=40)
    samples.accuracy("ct", "luser-dw", "aux", steps=40)
    (course,) = courses(headline(samples), "ct")
    assert course.points.tolist() == [5, 10, 15, 20, 25, 30, 35, 40]
    assert course.chosen == 6
    assert course.at(course.points, "minutes") == pytest.approx([1.5 * n / 60 for n in range(1, 9)])
    figure = convergence_figure(headline(samples), PAPER)
    figure.canvas.draw()
    assert [axis.get_xlabel() for axis in figure.axes] == ["training step", "minutes of training"] * 2
    assert figure.axes[2].lines[0].get_ydata().max() == pytest.approx(25.2)


def change(entry, **values):
    """Replace values of a frozen entry."""
    object.__setattr__(entry, "values", entry.values.model_copy(update=values))


def with_validations(entry, *psnr_db):
    points = (
        point.model_copy(update={"psnr_db": score})
        for point, score in zip(entry.values.validation_trace, psnr_db, strict=True)
    )
    chosen = entry.values.validation_trace[psnr_db.index(max(psnr_db))].step
    change(entry, validation_trace=tuple(points), chosen_step=chosen)


def test_a_training_that_is_best_early_was_not_too_short(samples):
    samples.accuracy("ct", "luser-dw", psnr=22.75)
    samples.reference("ct", "tv", psnr=23.0)
    study = headline(samples)
    with_validations(study.cells["ct", "luser-dw", "final"][0], 22, 23, 21, 20, 19, 5, 10, 18)
    assert "CT: below TV by LUSER-DW final 0.25 (0.25 to 0.25; +0.00)." in accuracy_table(study, PAPER, "table2").notes


def test_the_axes_of_convergence_hold_what_was_graded_not_what_diverged_later(samples):
    samples.accuracy("ct", "luser-dw", steps=40)
    study = headline(samples)
    entry = study.cells["ct", "luser-dw", "final"][0]
    with_validations(entry, 24, 25, 24.5, 4, 1, 2, 5, 20)
    change(entry, loss_trace=(0.02,) * 10 + (1e6,) * 30)
    loss, _, psnr, _ = convergence_figure(study, PAPER).axes
    low, high = psnr.get_ylim()
    assert 23 < low < 24 < 25 < high < 26
    assert loss.get_ylim()[1] < 1


def test_convergence_without_validation_is_left_out(samples):
    samples.accuracy("ct", "luser-dw")
    study = headline(samples)
    (entry,) = study.cells["ct", "luser-dw", "final"]
    change(entry, validation_trace=())
    assert convergence_figure(study, PAPER) is None
