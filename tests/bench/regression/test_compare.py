"""What counts as a regression, from figures alone."""

import pytest

from bench.regression.baseline import Environment, Measured, Spread
from bench.regression.compare import (
    compare_figures,
    compare_identities,
    compare_psnr,
    compare_ratios,
    compare_trainings,
)
from bench.regression.findings import as_json, as_markdown, as_table, regressed, told

HERE = Environment(processor="A", capability="AVX512", torch="2.13.0", threads=1, flags={})
THERE = HERE.model_copy(update={"processor": "B"})


def measured(values, environment=HERE, weights=None):
    return Measured(environment=environment, values=values, weights=weights or {})


def verdicts(findings):
    return [finding.verdict for finding in findings]


def test_equal_figures_raise_no_alarm():
    figures = {"parameters": {"deblur luser-sw": "96503"}}
    assert verdicts(compare_figures(figures, figures)) == ["same"]


@pytest.mark.parametrize(
    ("was", "now", "line"),
    [
        ({"a": "1"}, {"a": "2"}, "regression: exact: parameters: a: was 1, is 2"),
        ({"a": "1"}, {}, "regression: exact: parameters: a: was 1, is absent"),
        ({}, {"a": "2"}, "regression: exact: parameters: a: was absent, is 2"),
    ],
)
def test_another_figure_is_told_with_what_it_was_and_is(was, now, line):
    assert told(list(compare_figures({"parameters": was}, {"parameters": now}))) == [line]


def test_a_record_under_a_name_that_is_not_its_own_is_a_regression():
    files = {"calls/a.json": ("a.json", "a.json"), "calls/b.json": ("b.json", "c.json")}
    assert verdicts(compare_identities(files)) == ["same", "regression"]


def spread(tolerance, **values):
    reference = measured(values, weights=dict.fromkeys(values, "w"))
    tolerances = {cell: (tolerance,) * len(numbers) for cell, numbers in values.items()}
    return Spread(reference=reference, elsewhere={}, tolerances=tolerances)


def test_in_the_same_environment_every_bit_of_a_training_counts():
    baseline = spread(1e-3, a=(0.5, 0.25))
    assert not regressed(list(compare_trainings(baseline, baseline.reference)))
    moved = measured({"a": (0.5, 0.25 + 1e-12)}, weights={"a": "w"})
    other_weights = measured({"a": (0.5, 0.25)}, weights={"a": "v"})
    assert regressed(list(compare_trainings(baseline, moved)))
    assert regressed(list(compare_trainings(baseline, other_weights)))


@pytest.mark.parametrize(
    ("losses", "alarm"),
    [((0.5, 0.2501), False), ((0.5, 0.251), True), ((0.5,), True), ((0.5, float("nan")), True), (None, True)],
)
def test_elsewhere_losses_have_a_tolerance_and_weights_may_differ(losses, alarm):
    now = measured({} if losses is None else {"a": losses}, THERE, {"a": "v"})
    assert regressed(list(compare_trainings(spread(1e-3, a=(0.5, 0.25)), now))) is alarm


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ({"a": (29.0,)}, "same"),
        ({"a": (28.96,)}, "same"),
        ({"a": (28.7,)}, "regression"),
        ({"a": (float("nan"),)}, "regression"),
        ({"a": (29.5,)}, "note"),
        ({}, "regression"),
    ],
)
def test_a_loss_of_quality_beyond_the_tolerance_is_a_regression_and_a_gain_a_note(now, verdict):
    assert verdicts(compare_psnr(spread(0.05, a=(29.0,)), measured(now))) == [verdict]


def test_weights_that_the_baseline_does_not_know_are_a_note():
    assert verdicts(compare_psnr(spread(0.05, a=(29.0,)), measured({"a": (29.0,), "b": (20.0,)}))) == ["same", "note"]


def test_the_summary_has_a_table_and_a_line_for_every_regression():
    findings = [
        *compare_figures({"parameters": {"a": "1", "b": "1"}}, {"parameters": {"a": "1", "b": "2"}}),
        *compare_ratios({"solver picard": (1.3, 1.31)}, {"solver picard": (1.0, 1.0)}, ["solver picard"]),
    ]
    text = as_markdown(findings)
    assert "| exact | parameters | 2 | 1 | 0 |" in text
    assert "- regression: exact: parameters: b: was 1, is 2\n" in text
    assert "- regression: ratio: processor time: solver picard: was 1, is 1.305 times the time\n" in text
    assert as_table(findings).row_count == 2
    assert '"verdict": "regression"' in as_json(findings)
