"""A sweep of trainings with models that abort, hang, leave or take all memory: one record each, the rest unharmed."""

import pytest

from bench.records.store import ResultStore
from tests.bench.test_commands import run

HOSTILE = {
    "Aborts": ("failed", "the process died of SIGABRT; 3 attempts"),
    "Leaves": ("failed", "SystemExit: 0"),
    "Hangs": ("timeout", "took more than 12 s; 3 attempts"),
    "TakesAll": ("out_of_memory", "can't allocate memory"),
    "MakesNan": ("diverged", "not finite"),
    "Refuses": ("unsupported", "no images with three channels"),
}


@pytest.mark.slow
def test_each_ends_as_one_record_and_the_others_are_trained(tmp_path):
    models = [f"tests.bench.hostile_models:{name}" for name in HOSTILE]
    good = "tests.bench.brightness:Brightness"
    chosen = [option for name in (models[0], good, *models[1:]) for option in ("--model", name)]
    options = ["--task", "deblur", "--loss", "final", "--steps", "2", "--device", "cpu", "--results", tmp_path]
    answer = run("bench.accuracy", *chosen, *options, "--time-limit", "0.2")
    assert answer.returncode == 1, answer.stderr
    found = {record.spec.model.partition(":")[2]: record for record in ResultStore(tmp_path).records()}
    assert found.pop("Brightness").status.value == "ok"
    assert {name: record.status.value for name, record in found.items()} == {
        name: status for name, (status, _) in HOSTILE.items()
    }
    for name, (_, message) in HOSTILE.items():
        assert message in found[name].message
    again = run("bench.accuracy", *chosen, *options, "--failed", "--dry-run")
    assert again.returncode == 0, again.stderr
    assert "3 of 3 cells would run" in again.stdout
