"""Part 5: seconds of a training step and of a reconstruction at the paper's sizes."""

from dataclasses import replace

from bench.costs.timing import timing_cells
from bench.gpu.site import Work
from bench.records import TimingSpec, TimingValues
from bench.runner.cell import StudyCell
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks.scales import SCALES
from models import MODELS

CELL_S, LONG_CELL_S = 2.0, 10.0
LONG = ("deq4ip", "maximum")
"""Fifty solver steps both ways for every image of the largest batch."""
REHEARSED_MODELS = ("lu-dncnn", "luser-sw")


def measure(work: Work) -> None:
    """Measure the figures of part 5, the long ones last."""
    site = work.site
    scale = replace(SCALES["paper"], timed_shapes={task: site.image_shape(task) for task in site.tasks})
    cells = timing_cells(
        site.tasks,
        REHEARSED_MODELS if site.rehearse else tuple(MODELS),
        scale,
        store=work.store,
        device=work.device,
        batch=1 if site.rehearse else 2,
        repeats=1 if site.rehearse else 3,
        maximum=not site.rehearse,
    )
    for cell in sorted(cells, key=_is_long):
        work.budget.need(LONG_CELL_S if _is_long(cell) else CELL_S)
        (record,) = run_cells([cell], work.store, Running(apart=False))
        if isinstance(record.values, TimingValues):
            work.ledger.put(cell.label, record.values.model_dump(mode="json"))
        else:
            work.ledger.fail(cell.label, record.message)


def _rule(cell: StudyCell) -> str:
    assert isinstance(cell.spec, TimingSpec)
    return cell.spec.batch_rule


def _is_long(cell: StudyCell) -> bool:
    return (cell.spec.subject[1], _rule(cell)) == LONG
