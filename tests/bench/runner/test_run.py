"""The runner: every cell ends in a record, finished ones are skipped, an interrupt loses nothing."""

from dataclasses import replace

import pytest
import torch

from bench.records import CallsSpec, CallsValues, Status
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell, all_answered
from bench.runner.run import run_cells
from bench.runner.running import Running
from tests.records import make_provenance


def make_cell(task, measure):
    spec = CallsSpec(task=task, model="m", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
    return StudyCell(spec, make_provenance(), measure, "variant")


def answer(_):
    return Outcome(Status.OK, CallsValues(training_step={}, reconstruction={}))


def raises(error):
    def measure(_):
        raise error

    return measure


def test_a_failing_cell_does_not_take_the_sweep_down(tmp_path, capsys):
    cells = [
        make_cell("a", answer),
        make_cell("b", raises(RuntimeError("broken\n  pipe"))),
        make_cell("c", raises(torch.OutOfMemoryError("too large"))),
        make_cell("d", answer),
    ]
    records = run_cells(cells, ResultStore(tmp_path))
    assert [record.status.value for record in records] == ["ok", "failed", "out_of_memory", "ok"]
    assert records[1].message == "RuntimeError: broken pipe"
    assert not all_answered(records)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("]")[0] for line in lines] == ["[1/4", "[2/4", "[3/4", "[4/4"]


def test_finished_cells_are_skipped_unless_forced(tmp_path):
    store, calls = ResultStore(tmp_path), []

    def measure(reporter):
        calls.append(1)
        return answer(reporter)

    for _ in range(2):
        run_cells([make_cell("a", measure)], store)
    assert len(calls) == 1
    run_cells([make_cell("a", measure)], store, Running(force=True))
    assert len(calls) == 2


def test_a_finished_cell_says_what_it_lacks(tmp_path, capsys):
    store = ResultStore(tmp_path)
    run_cells([make_cell("a", answer)], store)
    run_cells([replace(make_cell("a", raises(AssertionError)), lacks=lambda stored: "but green")], store)
    assert "stored already, but green" in capsys.readouterr().err


def test_failed_cells_are_tried_again(tmp_path):
    store = ResultStore(tmp_path)
    run_cells([make_cell("a", raises(RuntimeError("once")))], store)
    (record,) = run_cells([make_cell("a", answer)], store)
    assert record.status is Status.OK
    assert len(list(store.records())) == 1


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    store = ResultStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_cells([make_cell("a", answer), make_cell("b", raises(KeyboardInterrupt()))], store)
    assert [record.spec.task for record in store.records()] == ["a"]
