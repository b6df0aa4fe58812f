"""``python -m bench.memory check``: simulated bytes beside those of a real training step, on any machine."""

import json
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import click
import torch
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, results_option, selection_options
from bench.cli.source_digest import code_of
from bench.cli.tables import print_table
from bench.memory.cells import TABLE3_TASKS
from bench.memory.options import image_size_option
from bench.memory.proof.profiled import profile_steps
from bench.memory.proof.prove import BARE
from bench.memory.replay import replay
from bench.memory.traces import TraceKey, trace_of
from bench.records import GIB, CheckSpec, CheckValues, Policy, Record, Status
from bench.records.environment import provenance
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell, all_answered
from bench.runner.progress import CellReporter
from bench.runner.run import run_cells
from bench.runner.running import Running
from bench.tasks import TASKS
from models import MODELS

BATCH = 1

HELP = f"""Compare the simulated bytes of a training step with those of a real one, by torch's CPU profiler.

Every model and policy trains two steps of one image on the CPU, in float32, with as many solver steps as in its trace.
Compared: the peak of live bytes, unrounded. oneDNN's convolutions take scratch that is in no trace: at most a copy of
one feature map and of one filter. Exit code 1 if that does not explain a difference.

\b
Example:
  python -m bench.memory check --task ct --model luser-sw --format json

{EXIT_CODES}
"""


@click.command("check", help=HELP)
@selection_options
@click.option(
    "--policy",
    "policies",
    type=click.Choice(["paper", "recompute"]),
    multiple=True,
    default=("paper", "recompute"),
    show_default=True,
    help="What training keeps for the backward pass; repeatable.",
)
@image_size_option
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--force", is_flag=True, help="Measure again what is already stored for this machine.")
@results_option
def check(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    image_shape: tuple[int, int] | None,
    style: Literal["table", "json"],
    force: bool,
    results: Path,
) -> int:
    """Compare from the command line."""
    cells = check_cells(tasks or TABLE3_TASKS, models or tuple(MODELS), policies, image_shape)
    records = run_cells(cells, ResultStore(results), Running(force=force))
    if style == "json":
        click.echo(json.dumps([_row(record) for record in records], indent=1))
    else:
        print_table(_table(records))
    differ = any(isinstance(record.values, CheckValues) and not record.values.explained for record in records)
    return 0 if all_answered(records) and not differ else EXIT_FAILED_CELLS


def check_cells(
    tasks: Sequence[str], models: Sequence[str], policies: Sequence[Policy], image_shape: tuple[int, int] | None
) -> list[StudyCell]:
    """Return one cell per task, model and policy.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        policies: ``paper``, ``recompute``.
        image_shape: None takes each task's own.
    """
    where = provenance(torch.device("cpu"))
    specs = [
        CheckSpec(
            task=task,
            model=model,
            code=code_of(model),
            image_shape=image_shape or TASKS[task].image_shape,
            policy=policy,
            batch=BATCH,
        )
        for task, model, policy in product(tasks, models, policies)
    ]
    return [StudyCell(spec, where, partial(_measure, spec), spec.policy) for spec in specs]


def _measure(spec: CheckSpec, reporter: CellReporter) -> Outcome:
    reporter.detail("simulating")
    trace = trace_of(TraceKey(spec.task, spec.model, spec.image_shape, spec.policy))
    simulated = replay(trace, spec.batch, BARE).peak_requested
    reporter.detail("training")
    profiled = profile_steps(spec)
    values = CheckValues(
        profiled_bytes=profiled.peak_bytes,
        simulated_bytes=simulated,
        map_bytes=profiled.map_bytes,
        weight_bytes=profiled.weight_bytes,
    )
    return Outcome(Status.OK, values, summary=f"{values.difference_maps:+.2f} feature maps")


def _row(record: Record) -> dict[str, object]:
    spec, values = record.spec, record.values
    assert isinstance(spec, CheckSpec)
    answer = values if isinstance(values, CheckValues) else None
    names = ("simulated_bytes", "profiled_bytes", "difference_bytes", "map_bytes", "explained")
    return {
        "task": spec.task,
        "model": spec.model,
        "policy": spec.policy,
        "image_shape": list(spec.image_shape),
        "batch": spec.batch,
        **{name: getattr(answer, name, None) for name in names},
        "status": record.status.value,
    }


def _table(records: Sequence[Record]) -> Table:
    table = Table(
        title="Peak of live bytes in a training step on a CPU, simulated and profiled",
        caption="difference in feature maps of the largest layer; oneDNN's scratch explains one map and one filter",
    )
    for name in ("task", "model", "policy", "simulated, GiB", "profiled, GiB", "difference, maps", "explained"):
        table.add_column(name, justify="right" if "," in name else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, CheckSpec)
        cells = [record.message or record.status.value] * (values is None)
        if isinstance(values, CheckValues):
            cells = [f"{count / GIB:.4f}" for count in (values.simulated_bytes, values.profiled_bytes)]
            cells += [f"{values.difference_maps:+.3f}", "yes" if values.explained else "no"]
        table.add_row(spec.task, spec.model, spec.policy, *cells)
    return table
