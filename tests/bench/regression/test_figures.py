"""Changes of the code that the exact gate has to notice, and the committed baseline."""

import json
import shutil

import pytest
import torch

from bench.costs.calls import count_calls
from bench.records import Record
from bench.regression import figures, schema
from bench.regression.baseline import FOLDER, ROOT, ExactBaseline, read_baseline
from bench.regression.compare import compare_figures, compare_identities
from bench.regression.findings import regressed, told
from models import MODELS, LuserSW


@pytest.fixture(scope="module")
def baseline():
    return read_baseline(ExactBaseline, FOLDER).figures


def compared(baseline, group, now):
    was = {what: figure for what, figure in baseline[group].items() if what in now}
    return list(compare_figures({group: was}, {group: now}))


class OneMoreAdjoint(LuserSW):
    def forward(self, y, operator):
        operator.adjoint(y)
        return super().forward(y, operator)


class Larger(LuserSW):
    def __init__(self, channels, **options):
        super().__init__(channels, **options)
        self.more = torch.nn.Parameter(torch.zeros(1))


def test_a_changed_number_of_parameters_is_noticed(baseline, monkeypatch):
    assert not regressed(compared(baseline, "parameters", figures.parameters(["deblur"])))
    monkeypatch.setattr(figures, "MODELS", {"luser-sw": Larger})
    (line,) = told(compared(baseline, "parameters", figures.parameters(["deblur"])))
    assert line.startswith("regression: exact: parameters: deblur luser-sw: was 96503, ")


def test_one_more_adjoint_is_noticed(baseline, monkeypatch):
    monkeypatch.setattr(figures, "MODELS", {"luser-sw": LuserSW})
    assert not regressed(compared(baseline, "operator calls", figures.operator_calls(count_calls, ["deblur"])))
    monkeypatch.setitem(MODELS, "luser-sw", OneMoreAdjoint)
    lines = told(compared(baseline, "operator calls", figures.operator_calls(count_calls, ["deblur"])))
    assert len(lines) == 2
    assert "deblur luser-sw training_step adjoint.reconstruct: was 8, is 9" in lines[0]
    assert "deblur luser-sw reconstruction adjoint.reconstruct: was 8, is 9" in lines[1]


@pytest.mark.slow
def test_the_largest_batches_are_the_baseline_s(baseline, monkeypatch):
    monkeypatch.setattr(figures, "MODELS", {"deq4ip": MODELS["deq4ip"]})
    monkeypatch.setattr(figures, "in_processes", lambda work, items: {})
    now = figures.simulated_batches(["deblur"], ["recompute"])
    assert len(now) == 3
    assert not regressed(compared(baseline, "simulated batches", now))


def test_recipes_and_layout_are_the_baseline_s(baseline):
    assert not regressed(compared(baseline, "recipes", figures.recipes()))
    assert not regressed(list(compare_figures({"layout": baseline["layout of records"]}, {"layout": schema.layout()})))


def test_a_renamed_field_is_named(monkeypatch):
    before = schema.layout()
    content = json.dumps(Record.model_json_schema()).replace('"test_images"', '"tested_images"')
    monkeypatch.setattr(Record, "model_json_schema", lambda: json.loads(content))
    lines = told(list(compare_figures({"layout": before}, {"layout": schema.layout()})))
    assert any("AccuracySpec.test_images: was " in line and line.endswith("is absent") for line in lines)
    assert any("AccuracySpec.tested_images: was absent" in line for line in lines)


def test_stored_records_have_their_own_names(tmp_path):
    assert not regressed(list(compare_identities(figures.identities(ROOT / "results"))))
    source = next((ROOT / "results" / "calls").glob("*.json"))
    (tmp_path / "calls").mkdir()
    shutil.copy(source, tmp_path / "calls" / "another.json")
    (tmp_path / "calls" / "broken.json").write_text("{}")
    lines = told(list(compare_identities(figures.identities(tmp_path))))
    assert lines[0].endswith(f"was another.json, is {source.name}")
    assert "unreadable" in lines[1]
