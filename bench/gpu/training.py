"""Part 6: cells of Table 2 on real images, until the time is up."""

import signal
from typing import NoReturn

from bench.cli.sources import check_sources
from bench.gpu.budget import OutOfTime
from bench.gpu.site import Work
from bench.records import AccuracyValues
from bench.records.environment import ROOT
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS
from bench.tasks.scales import SCALES, precision_of

CHECKPOINT_S = 10.0
TRAINING_S = 20.0
"""The least time with which a training begins."""


def train(work: Work) -> None:
    """Train the cells that the checkout's results lack, in ``bench.queue``'s order; the last one can resume later."""
    tasks = [task for task in PAPER_TASKS if task in work.site.sources]
    if not tasks or work.site.rehearse:
        reason = "a rehearsal trains nothing" if work.site.rehearse else "no --data names real images"
        work.once("skipped", lambda: reason)
        return
    work.budget.need(TRAINING_S)
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, work.budget.left_s)
    try:
        _train(work, tasks)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(*_: object) -> NoReturn:
    raise OutOfTime("trainings resume at their last checkpoint")


def _train(work: Work, tasks: list[str]) -> None:
    # Only this part needs Lightning's Fabric: where it is missing, every other part still runs.
    from bench.runner.running import Running
    from bench.training.queue import SPLITS, finished, queued_cells, work_off
    from bench.training.sweep import TrainingSetup
    from models import MODELS

    scale = SCALES["full"]
    training = TrainingSetup(
        scale=scale,
        sources=work.site.sources,
        store=work.store,
        device=work.device,
        precision=precision_of(scale, work.device),
        start="fbp",
        keep_weights=True,
        checkpoint_s=CHECKPOINT_S,
    )
    check_sources(tasks, training.sources, scale, SPLITS)
    at_home = ResultStore(ROOT / "results")
    for cell in queued_cells(training, tasks, tuple(MODELS)):
        work.budget.need(1)
        if finished(cell, at_home) is not None:
            continue
        for record in work_off([cell], training.store, running=Running(apart=False)):
            if isinstance(record.values, AccuracyValues):
                work.ledger.put(cell.label, record.status.value)
            else:
                work.ledger.fail(cell.label, record.message)
