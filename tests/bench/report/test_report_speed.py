"""The figure of speed beside what is possible: which records, which ratios, which goals."""

import pytest

from bench.report.figures.speed import speed_figure
from bench.report.render import render
from bench.report.selection.records import load_records
from bench.report.tables.speed import GOALS, TITLES, shown_speed


def shown(samples):
    return shown_speed(load_records(samples.store).speed)


def test_ratios_are_taken_repeat_by_repeat(samples):
    samples.speed()
    (speed,) = shown(samples)
    ratio = speed.ratio  # of 2, 4 and 3
    assert (ratio.low, ratio.mid, ratio.high) == pytest.approx((2.5, 3, 3.5))
    assert speed.ms.mid == pytest.approx(4)
    assert speed.goal == 1.4
    assert speed.title.endswith("beside a floor")


def test_one_device_and_the_newest_record_of_each_work_in_a_fixed_order(samples):
    samples.speed("radon-forward-1", device="the other")
    samples.speed("blur-forward-8")
    samples.speed("fourier-forward-8")
    assert [speed.entry.spec.work for speed in shown(samples)] == ["fourier-forward-8", "blur-forward-8"]


def test_the_figure_says_ratio_time_and_goal(samples):
    samples.speed()
    samples.speed("radon-forward-8", (1.5, 1.5, 1.5), (0.1, 0.1, 0.1))
    figure = speed_figure(shown(samples))
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["3   4 ms", "15   1.5 s"]
    goals = [line for line in axis.lines if line.get_marker() == "|" and line.get_markersize() == 11]
    assert [float(line.get_xdata()[0]) for line in goals] == [GOALS["fourier-forward-1"]]


def test_the_page_shows_it_with_its_command(samples, tmp_path):
    samples.speed()
    render(samples.store.root, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "## Speed beside what is possible" in page
    assert "python -m tests.benchmarks.speed" in page
    assert (tmp_path / "speed.png").stat().st_size > 5_000


def test_goals_are_of_known_work():
    assert GOALS.keys() <= TITLES.keys()
