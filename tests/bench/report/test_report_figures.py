"""Where Figure 2's boxes lie, and that figures take what records may hold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.records import Status
from bench.records.paper import load_paper
from bench.report.drawing.style import PALETTE, STYLE, colors
from bench.report.figures.figure1 import gain_figure, training_figure
from bench.report.figures.figure2 import Box, examples, most_improved, psnr_db, reconstruction_figure
from bench.report.figures.memory import memory_figure
from bench.report.selection.accuracy import studies
from bench.report.selection.records import load_records
from bench.report.tables.table3 import MemoryStudy
from bench.tasks.metrics import ssim

PAPER = load_paper()


@pytest.fixture(autouse=True)
def report_style():
    with style.context(["default", STYLE]):
        yield


def headline(samples):
    return studies(load_records(samples.store).accuracy)[0]


def rows_of(samples):
    return examples(headline(samples), PAPER, samples.store)


def add_examples(samples, task="ct", flaw=(4, 4), models=("lu-dncnn", "deq4ip", "luser-dw"), shift=0.0):
    truth, start, images = samples.scene(task, flaw=flaw)
    for model in models:
        arrays = {"start": start, "reconstruction": images[model], "truth": np.clip(truth + shift, 0, 1)}
        samples.accuracy(task, model, example=arrays)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(height=st.integers(16, 48), width=st.integers(16, 48), down=st.floats(0, 1), right=st.floats(0, 1))
def test_box_lies_where_the_constructed_difference_is(height, width, down, right):
    side = round(min(height, width) / 4)
    top, left = round(down * (height - side)), round(right * (width - side))
    truth = np.zeros((1, height, width), np.float32)
    worse = truth.copy()
    worse[:, top : top + side, left : left + side] = 0.5
    assert most_improved(worse, truth, truth) == Box(top, left, side)


def test_box_weighs_errors_of_both_against_the_truth():
    truth = np.zeros((1, 32, 32), np.float32)
    worse, better = truth.copy(), truth.copy()
    worse[:, :8, :8] = 0.9
    better[:, :8, :8] = -0.9  # differs most here, and is no better
    worse[:, 20:28, 20:28] = 0.2
    assert most_improved(worse, better, truth) == Box(20, 20, 8)


def test_box_prefers_a_structure_to_a_few_bright_pixels():
    truth = np.zeros((1, 64, 64), np.float32)
    worse = truth.copy()
    worse[:, 40:56, 40:56] = 0.2
    worse[:, 3, 3] = worse[:, 3, 18] = worse[:, 18, 3] = 2.0  # more in sum, but at the corners of a square
    box = most_improved(worse, truth, truth)
    assert (abs(box.top - 40), abs(box.left - 40)) <= (1, 1)


def test_no_box_where_nothing_improves():
    truth = np.zeros((3, 32, 32), np.float32)
    assert most_improved(truth, truth + 0.1, truth) is None
    assert most_improved(truth, truth, truth) is None


def test_psnr_of_a_known_error():
    truth = np.zeros((1, 8, 8), np.float32)
    assert psnr_db(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
    assert psnr_db(truth, truth) == np.inf


@pytest.mark.parametrize("flaw", [(0, 0), (4, 20), (20, 4), (24, 24)])
def test_figure_2_boxes_and_enlarges_the_flaw(samples, flaw):
    add_examples(samples, flaw=flaw)
    (row,) = rows_of(samples)
    box = row.box  # smoothed, so that the texture around the flaw may pull it by a pixel
    assert box.side == 8
    assert max(abs(box.top - flaw[0]), abs(box.left - flaw[1])) <= 1
    figure = reconstruction_figure([row], PAPER)
    assert [axis.get_title() for axis in figure.axes] == ["Start", "LU-DnCNN", "DEQ4IP", "LUSER-DW", "Truth"]
    for axis in figure.axes:
        (frame,) = axis.patches
        assert frame.get_xy() == (box.left - 0.5, box.top - 0.5)
        (inset,) = axis.child_axes
        assert inset.images[0].get_array().shape[:2] == (8, 8)


def test_figure_2_prints_each_images_psnr(samples):
    add_examples(samples)
    (row,) = rows_of(samples)
    labels = [axis.get_xlabel() for axis in reconstruction_figure([row], PAPER).axes]
    image = row.reconstructions["lu-dncnn"]
    expected = ssim(*map(torch.from_numpy, (image, row.truth)))
    assert labels[1] == f"{psnr_db(image, row.truth):.2f}, {expected:.3f}"
    assert labels[-1] == "PSNR, SSIM"


def test_figure_2_leaves_out_what_was_measured_on_another_image(samples):
    add_examples(samples, models=("lu-dncnn", "luser-dw"))
    add_examples(samples, models=("deq4ip",), shift=0.2)
    (row,) = rows_of(samples)
    assert set(row.reconstructions) == {"lu-dncnn", "luser-dw"}
    empty = reconstruction_figure([row], PAPER).axes[2]
    assert empty.texts[0].get_text() == "not measured"


def test_figure_2_credits_its_sources_within_the_picture(samples):
    add_examples(samples)
    credit = "Images lab/scans: " + "by A. Scanner and B. Reader, " * 12 + "CC0."
    rows = rows_of(samples)
    plain, credited = reconstruction_figure(rows, PAPER), reconstruction_figure(rows, PAPER, [credit])
    text = credited.texts[0]
    assert " ".join(text.get_text().split()) == credit
    box = text.get_window_extent(FigureCanvasAgg(credited).get_renderer())
    assert box.x0 >= 0
    assert box.x1 <= credited.bbox.width
    assert credited.get_figheight() > plain.get_figheight()


def test_figure_2_without_one_of_the_compared_models_has_no_boxes(samples):
    add_examples(samples, models=("luser-dw",))
    (row,) = rows_of(samples)
    assert row.box is None
    assert not any(axis.patches for axis in reconstruction_figure([row], PAPER).axes)


def test_figure_2_shows_users_models_before_the_truth(samples):
    truth, start, images = samples.scene("deblur")
    arrays = {"start": start, "reconstruction": images["luser-dw"], "truth": truth}
    samples.accuracy("deblur", "user.nets:Mine", example=arrays)
    titles = [axis.get_title() for axis in reconstruction_figure(rows_of(samples), PAPER).axes]
    assert titles[-2:] == ["Mine", "Truth"]


@pytest.mark.parametrize("damage", ["missing", "garbage", "shape"])
def test_broken_examples_are_named_and_left_out(samples, damage, capsys):
    add_examples(samples)
    path = next((samples.store.root / "examples").glob("*.npz"))
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"garbage")
    else:
        np.savez(path, start=np.zeros(3), reconstruction=np.zeros(3), truth=np.zeros(3))
    shown = sum(len(row.reconstructions) for row in rows_of(samples))
    assert shown == len(list((samples.store.root / "examples").glob("*.npz"))) - (damage != "missing")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"skipped: {path}: not a valid example: ")


def test_models_keep_their_colours(samples):
    samples.accuracy("ct", "user.nets:Mine")
    samples.memory("ct", "user.nets:Mine", 8, 2)
    models = ["lu-dncnn", "deq4ip", "luser-sw", "luser-dw", "user.nets:Mine"]
    assert list(colors(models).values()) == list(PALETTE[:5])
    panel = memory_figure(MemoryStudy(load_records(samples.store).memory, PAPER)).axes[1]
    assert PALETTE[4] in {line.get_color() for line in panel.lines}


def test_memory_figure_has_a_panel_a_block_and_stands_without_records(samples):
    samples.fill_memory()
    for entries in (load_records(samples.store).memory, ()):
        figure = memory_figure(MemoryStudy(entries, PAPER))
        figure.canvas.draw()
        assert len(figure.axes) == 3
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["Deblurring", "CT", "4\N{MULTIPLICATION SIGN} MRI"]


@pytest.mark.parametrize("trace", [[0.0], [], [0.5, float("inf"), 0.2]])
def test_training_figure_takes_odd_losses(samples, trace):
    samples.accuracy("ct", "luser-dw")
    samples.accuracy("deblur", "luser-dw", status=Status.DIVERGED)
    study = headline(samples)
    (entry,) = study.cells["ct", "luser-dw", "final"]
    values = entry.values.model_copy(update={"loss_trace": tuple(trace)})
    object.__setattr__(entry, "values", values)
    figure = training_figure(study, PAPER)
    if trace:
        figure.canvas.draw()
        assert [axis.get_title(loc="left") for axis in figure.axes] == ["CT"]
    else:
        assert figure is None


def test_figures_without_scores_are_left_out(samples):
    samples.accuracy("ct", "luser-dw", status=Status.DIVERGED)
    assert training_figure(headline(samples), PAPER) is None
    assert gain_figure(headline(samples), PAPER) is None
    assert rows_of(samples) == []


def test_gain_figure_shows_mean_and_interval(samples):
    samples.accuracy("ct", "luser-dw", psnr=25.0)
    (axis,) = gain_figure(headline(samples), PAPER).axes
    interval, mean, _ = axis.lines
    assert mean.get_xdata() == pytest.approx([5.0])
    low, high = interval.get_xdata()
    assert low < 5.0 < high


@pytest.mark.parametrize("tasks", [("ct",), ("ct", "deblur")])
def test_the_legend_of_losses_names_every_model_within_the_figure(samples, tasks):
    samples.fill_accuracy(tasks=tasks, examples=False)
    samples.accuracy("ct", "user.nets:Mine")
    figure = training_figure(studies(load_records(samples.store).accuracy)[0], PAPER)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["LU-DnCNN", "DEQ4IP", "LUSER-SW", "LUSER-DW", "Mine"]
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
