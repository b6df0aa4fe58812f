"""``python -m bench.timing``: seconds per training step and per reconstruction."""

import statistics
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import (
    EXIT_CODES,
    EXIT_FAILED_CELLS,
    Bytes,
    common_options,
    policy_option,
    run,
    scale_option,
    selection_options,
)
from bench.cli.parameters import BATCH, REPEATS
from bench.cli.source_digest import code_of
from bench.cli.user_model import build_model
from bench.evaluation import clock
from bench.memory.questions import memory_specs
from bench.memory.simulate import simulated_batch
from bench.records import GIB, MemoryValues, Policy, Provenance, Record, Status, TimingSpec, TimingValues
from bench.records.environment import pick_device, provenance
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell, all_answered, run_cells
from bench.records.store import ResultStore
from bench.tasks import TASKS
from bench.tasks.scales import SCALES, Scale
from bench.training.step import make_optimizer, placed, training_step
from models import MODELS

TIMED_TASKS = ("deblur", "ct", "mri4x")
DEFAULT_CAP_BYTES = 8 * GIB
REPEATS_LIMIT_S = 5.0

HELP = f"""Time a training step and a reconstruction of every model.

Each is timed at a common batch, and at the largest batch that trains under --cap at the paper's image size (simulated),
if any. Reported: the median over repeats, after one warm-up. Weights are the initial ones, with which LUSER's
fixed-point solves are short. Without --task: deblur, ct and mri4x.

\b
Examples:
  python -m bench.timing
  python -m bench.timing --task ct --scale paper --device cuda --batch 2
  python -m bench.timing --task diffraction --batch 1

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@policy_option
@scale_option
@click.option("--batch", type=BATCH, default=2, show_default=True, help="The common batch.")
@click.option(
    "--cap",
    type=Bytes(),
    default="8GB",
    show_default=True,
    help="Memory cap for each model's maximum batch.",
)
@click.option(
    "--repeats",
    type=REPEATS,
    default=3,
    show_default=True,
    help="Timed repeats after one warm-up; fewer if they take over five seconds in total.",
)
@common_options
def main(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    scale: str,
    batch: int,
    cap: int,
    repeats: int,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the timings from the command line."""
    store = ResultStore(results)
    cells = timing_cells(
        tasks or TIMED_TASKS,
        models or tuple(MODELS),
        SCALES[scale],
        store=store,
        device=pick_device(device),
        batch=batch,
        cap_bytes=cap,
        repeats=repeats,
        policies=policies,
    )
    records = run_cells(cells, store, force=force)
    Console().print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


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
    def measure(_: Reporter) -> Outcome:
        values = _time(spec, device)
        step, evaluation = (statistics.median(s) for s in (values.train_step_s, values.evaluation_s))
        summary = f"step {step:.3f} s, reconstruction {evaluation:.3f} s"
        return Outcome(Status.OK, values, summary=summary)

    return StudyCell(spec, where, measure, f"{spec.policy} batch {spec.batch}")


def _time(spec: TimingSpec, device: torch.device) -> TimingValues:
    task = TASKS[spec.task]
    torch.manual_seed(0)
    operator = task.operator_at(spec.image_shape, device)
    images = task.load_split(None, "train", image_shape=spec.image_shape, count=spec.batch, seed=0)
    truth = torch.stack([images[index].image for index in range(spec.batch)]).to(device)
    y = task.measure(operator, truth, torch.Generator().manual_seed(0))
    model = placed(build_model(spec.model, task.channels, spec.policy), device)
    optimizer = make_optimizer(model)
    model.train()
    train_s = _repeat(lambda: training_step(model, optimizer, operator, y, truth, "final"), spec.repeats, device)
    model.eval()
    with torch.no_grad():
        evaluation_s = _repeat(lambda: model(y, operator), spec.repeats, device)
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


def _table(records: Sequence[Record]) -> Table:
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


if __name__ == "__main__":
    run(main)
