"""What the harness adds to a cell: its process, its messages, its record."""

from functools import partial

from bench.records import CallsSpec, CallsValues, Status
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.training.step import make_optimizer  # torch, and what a training imports
from tests.records import make_provenance

CELLS = 20


def nothing(number, reporter):
    assert make_optimizer is not None
    return Outcome(Status.OK, CallsValues(training_step={"forward": float(number)}, reconstruction={}))


def cells(apart):
    specs = [
        CallsSpec(task="t", model=f"m{number}", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
        for number in range(CELLS)
    ]
    return [
        StudyCell(spec, make_provenance(), partial(nothing, number), "variant", apart=apart)
        for number, spec in enumerate(specs)
    ]


def test_twenty_cells_in_processes_of_their_own(benchmark, tmp_path):
    store = ResultStore(tmp_path)
    run_cells(cells(True)[:1], store)  # the server begins
    records = benchmark.pedantic(
        run_cells, (cells(True), store, Running(force=True)), rounds=3, warmup_rounds=1, iterations=1
    )
    assert len(records) == CELLS


def test_twenty_cells_in_this_process(benchmark, tmp_path):
    records = benchmark.pedantic(
        run_cells, (cells(False), ResultStore(tmp_path), Running(force=True)), rounds=3, warmup_rounds=1, iterations=1
    )
    assert len(records) == CELLS
