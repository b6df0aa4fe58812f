"""Times a training step and a reconstruction."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import torch
from rich.table import Table

from bench.cli.source_digest import code_of
from bench.cli.user_model import build_model
from bench.evaluation import clock
from bench.memory.questions import memory_specs
from bench.memory.simulate import simulated_batch
from bench.records import GIB, MemoryValues, Policy, Provenance, Record, Status, TimingSpec, TimingValues
from bench.records.environment import provenance
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter
from bench.tasks import TASKS
from bench.tasks.scales import Scale
from bench.training.step import make_optimizer, placed, training_step

TIMED_TASKS = ("deblur", "ct", "mri4x")
DEFAULT_CAP_BYTES = 8 * GIB
REPEATS_LIMIT_S = 5.0


def timing_cells(
    tasks: Sequence[str],
    models: Sequence[str],
    scale: Scale,
    *,
    store: ResultStore,
    device: torch.device,
    batch: int = 2,
    cap_bytes: int = DEFAULT_CAP_BYTES,
    repeats: int = 3,
    policies: Sequence[Policy] = ("paper",),
    maximum: bool = True,
) -> list[StudyCell]:
    """Return two cells per task, model and policy: at the common batch and at the model's own maximum.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        scale: image size.
        store: where stored answers to Table 3's question are looked up.
        device: where to run.
        batch: the common batch.
        cap_bytes: decides the maximum batch, at the paper's image size.
        repeats: timed repeats.
        policies: ``paper``, ``recompute``.
        maximum: whether the second ones are wanted.
    """
    where = provenance(device)
    cells = []
    for task, model, policy in product(tasks, models, policies):
        common = TimingSpec(
            task=task,
            model=model,
            image_shape=scale.timed_shape(task),
            code=code_of(model),
            policy=policy,
            batch=batch,
            batch_rule="common",
            repeats=repeats,
        )
        cells.append(_cell(common, where, device))
        own = _maximum_batch(task, model, policy, cap_bytes, store) if maximum else 0
        if own:
            update = {"batch": own, "batch_rule": "maximum", "cap_bytes": cap_bytes}
            cells.append(_cell(common.model_copy(update=update), where, device))
    return cells


def _maximum_batch(task: str, model: str, policy: Policy, cap_bytes: int, store: ResultStore) -> int:
    (spec,) = memory_specs([task], [model], [policy], [cap_bytes], "simulate")
    stored = store.finished(spec, provenance(None))
    if stored is not None and isinstance(stored.values, MemoryValues):
        return stored.values.max_batch
    return simulated_batch(spec)


def _cell(spec: TimingSpec, where: Provenance, device: torch.device) -> StudyCell:
    return StudyCell(spec, where, partial(_measure, spec, device), f"{spec.policy} batch {spec.batch}", apart=True)


def _measure(spec: TimingSpec, device: torch.device, reporter: CellReporter) -> Outcome:
    values = _time(spec, device, reporter)
    step, evaluation = (statistics.median(s) for s in (values.train_step_s, values.evaluation_s))
    return Outcome(Status.OK, values, summary=f"step {step:.3f} s, reconstruction {evaluation:.3f} s")


def _time(spec: TimingSpec, device: torch.device, reporter: CellReporter) -> TimingValues:
    task = TASKS[spec.task]
    torch.manual_seed(0)
    operator = task.operator_at(spec.image_shape, device)
    images = task.load_split(None, "train", image_shape=spec.image_shape, count=spec.batch, seed=0)
    truth = torch.stack([images[index].image for index in range(spec.batch)]).to(device)
    y = task.measure(operator, truth, torch.Generator().manual_seed(0))
    model = placed(build_model(spec.model, task.channels, spec.policy), device)
    optimizer = make_optimizer(model)
    model.train()

    def step() -> None:
        reporter.detail("training steps")
        training_step(model, optimizer, operator, y, truth, "final")

    def reconstruct() -> None:
        reporter.detail("reconstructions")
        model(y, operator)

    train_s = _repeat(step, spec.repeats, device)
    model.eval()
    with torch.no_grad():
        evaluation_s = _repeat(reconstruct, spec.repeats, device)
    return TimingValues(train_step_s=train_s, evaluation_s=evaluation_s)


def _repeat(work: Callable[[], object], repeats: int, device: torch.device) -> tuple[float, ...]:
    """Seconds of every repeat after one warm-up, with the device synchronised before and after.

    Repeats end early once they have taken ``REPEATS_LIMIT_S`` together; there is always one.
    """

    def timed() -> float:
        return clock.seconds(work, device)

    timed()
    seconds = [timed()]
    while len(seconds) < repeats and sum(seconds) < REPEATS_LIMIT_S:
        seconds.append(timed())
    return tuple(seconds)


def timing_table(records: Sequence[Record]) -> Table:
    """Lay out the medians, one row per task, model, policy and batch."""
    table = Table(title="Median seconds per image")
    for name in ("task", "model", "policy", "batch", "rule", "training step", "reconstruction"):
        table.add_column(name, justify="left" if name in ("task", "model", "policy", "rule") else "right")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, TimingSpec)
        cells = ("?", "?")
        if isinstance(values, TimingValues):
            train, evaluation = (statistics.median(s) / spec.batch for s in (values.train_step_s, values.evaluation_s))
            cells = (f"{train:.4f}", f"{evaluation:.4f}")
        table.add_row(spec.task, spec.model, spec.policy, str(spec.batch), spec.batch_rule, *cells)
    return table
