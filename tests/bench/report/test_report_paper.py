"""The paper's values are complete, and its own bold figures follow from the rule that reports use."""

import pytest

from bench.records.paper import load_paper
from bench.report.drawing.layout import Cell, embolden_best
from bench.report.tables.table2 import METRICS

PAPER_BOLD = {
    ("deblur", "psnr_db"): [31.57, 31.40],
    ("deblur", "ssim"): [0.895, 0.891],
    ("ct", "psnr_db"): [31.79, 31.83],
    ("ct", "ssim"): [0.868, 0.860],
    ("mri4x", "psnr_db"): [29.86, 29.37],
    ("mri4x", "ssim"): [0.740, 0.713],
    ("mri8x", "psnr_db"): [27.65, 28.06],
    ("mri8x", "ssim"): [0.630, 0.596],
}


@pytest.fixture
def paper():
    return load_paper()


def test_every_number_and_word_of_the_tables_is_there(paper):
    assert sum(len(row.values) for row in paper.table2) == 4 * 2 * 7
    assert sum(len(row.values) for row in paper.parameters) == 3 * 4
    assert sum(len(row.values) for row in paper.max_batch) == 3 * 3 * 4
    assert sum(len(row.values) for row in paper.words) == 6 * 3


def test_every_row_has_columns_of_its_own_table(paper):
    models = {model.key for model in paper.models}
    columns = {f"{model}/{loss}" for model, loss in paper.accuracy_columns}
    assert all(row.values.keys() == columns for row in paper.table2)
    assert all(row.values.keys() == models for row in (*paper.parameters, *paper.max_batch))
    assert all(row.values.keys() == {model.family for model in paper.models} for row in paper.words)


def test_every_row_has_a_place_of_its_own(paper):
    places = [row.place for row in (*paper.table2, *paper.parameters, *paper.max_batch, *paper.words)]
    assert len(set(places)) == len(places) == 8 + 3 + 9 + 6
    assert all(place.startswith("Table ") for place in places)


@pytest.mark.parametrize(("task", "metric"), PAPER_BOLD)
def test_best_two_are_the_papers_bold_figures(paper, task, metric):
    show = {name: text for name, _, text in METRICS}[metric]
    values = [paper.accuracy(task, metric, *column) for column in paper.accuracy_columns]
    bold = [float(cell.text) for cell in embolden_best(Cell(show(value)) for value in values) if cell.bold]
    assert bold == PAPER_BOLD[task, metric]


def test_look_ups(paper):
    assert paper.accuracy("mri8x", "ssim", "luser-dw", "aux") == 0.596
    assert paper.accuracy("ct", "psnr_db", "deq4ip", "aux") is None
    assert paper.parameter_count("mri8x", "luser-sw") == 95_107
    assert paper.largest_batch("ct", "lu-dncnn", 8 * 2**30) == 0
    assert paper.largest_batch("ct", "deq4ip", 24 * 10**9) == 20
    assert paper.largest_batch("ct", "deq4ip", 12 * 2**30) is None


def test_titles_of_the_users_own_models_are_their_names(paper):
    assert paper.model_title("user.nets:Mine") == "Mine"
    assert paper.model_title("luser-dw") == "LUSER-DW"
    assert paper.task_title("inpaint") == "inpaint"


def test_table_3_covers_mri_by_whichever_acceleration_was_measured(paper):
    assert paper.covering([]) == ["deblur", "ct", "mri4x"]
    assert paper.covering(["mri8x", "own"]) == ["deblur", "ct", "mri8x", "own"]
