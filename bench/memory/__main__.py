"""``python -m bench.memory``: Table 3's question for every model, task and cap, and further sub-commands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import torch
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, Bytes, common_options, policy_option, run, selection_options
from bench.memory.calibrate import calibrate
from bench.memory.cells import (
    TABLE3_CAPS_BYTES,
    TABLE3_TASKS,
    memory_cells,
    row,
    simulate_ahead,
)
from bench.memory.nvml import claim_gpu
from bench.memory.options import image_size_option, step_options
from bench.memory.proof.check import check
from bench.memory.proof.prove import prove
from bench.memory.questions import MemoryQuestion
from bench.memory.snapshot import record
from bench.memory.step_cells import step_cells, step_row, step_table
from bench.memory.validate import validate
from bench.memory.what_fits import what_fits
from bench.records import GIB, FitValues, Policy, Precision, Record
from bench.records.environment import pick_device
from bench.records.runner import all_answered, run_cells
from bench.records.store import ResultStore
from models import MODELS

HELP = f"""Find the largest batch (1, or even) whose full training step fits under a memory cap.

The step is forward, loss, backward and Adam, at the paper's image sizes unless --image-size is given. On a CUDA device
every answer is proved: batch b trains under the cap, the next even batch runs out of memory. Without CUDA the step is
simulated: every storage of a traced step is replayed through the caching allocator's rules, with a best guess and two
bounds for memory that a trace does not show. GB means GiB, as on graphics cards. Without --task: deblur, ct and mri4x,
the blocks of Table 3.

\b
Examples:
  python -m bench.memory --cap 10GB
  python -m bench.memory --cap 8GB --cap 24GB --task ct --model luser-dw --policy recompute --precision bf16
  python -m bench.memory --cap 24GB --task ct --model luser-sw --explain explained
  python -m bench.memory what-fits --gpu 8GB --task ct
  python -m bench.memory --cap 24GB --format json
  python -m bench.memory --step my_package.my_module:make_step --cap 24GB --any-batch

{EXIT_CODES}
"""


@click.group(invoke_without_command=True, help=HELP)
@click.option(
    "--cap",
    "caps",
    type=Bytes(),
    multiple=True,
    help="Memory cap, e.g. 10GB; repeatable. Default: 8GB, 10GB and 24GB.",
)
@click.option(
    "--step",
    metavar="MODULE:FUNCTION",
    help="Measure any step: FUNCTION(batch) builds model, optimiser and data, and returns a function for one step.",
)
@click.option("--any-batch", is_flag=True, help="With --step: also try odd batches.")
@selection_options
@policy_option
@step_options
@image_size_option
@click.option(
    "--backend",
    type=click.Choice(["auto", "simulate", "cuda"]),
    default="auto",
    show_default=True,
    help="auto proves on CUDA if available, else simulates.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 366 * 24 * 3600),
    default=0,
    show_default=True,
    help="Seconds to wait for a GPU that another process uses, before giving up.",
)
@click.option(
    "--explain",
    "explained",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for one figure per cell: simulated memory over one step, by use.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print on stdout.",
)
@common_options
@click.pass_context
def main(
    context: click.Context,
    caps: Sequence[int],
    step: str | None,
    any_batch: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    precisions: Sequence[Precision],
    expandable_segments: bool,
    calibration: str | None,
    tf32: bool,
    channels_last: bool,
    image_shape: tuple[int, int] | None,
    backend: Literal["auto", "simulate", "cuda"],
    wait_s: int,
    explained: Path | None,
    style: str,
    results: Path,
    force: bool,
    device: str,
) -> int | None:
    """Run the search from the command line, unless a sub-command is named."""
    if context.invoked_subcommand is not None:
        return None
    _check_step(context, step, any_batch)
    place, store = _place(backend, device), ResultStore(results)
    if place is not None:
        claim_gpu(place, wait_s)
    question = MemoryQuestion(
        precisions=precisions,
        image_shape=image_shape,
        expandable_segments=expandable_segments,
        calibration=calibration,
        tf32=tf32,
        channels_last=channels_last,
    )
    caps = caps or TABLE3_CAPS_BYTES
    if step is None:
        cells = memory_cells(tasks or TABLE3_TASKS, models or tuple(MODELS), policies, caps, place, question)
    else:
        cells = step_cells(step, caps, place, question, any_batch=any_batch)
    records = run_cells(simulate_ahead(cells, store, force=force), store, force=force)
    if style == "json":
        click.echo(json.dumps([(row if step is None else step_row)(record) for record in records], indent=1))
    else:
        Console().print((_table if step is None else step_table)(records))
    if explained is not None:
        from bench.memory.explain import explain_records  # matplotlib takes a while, and few ask

        explain_records(records, explained)
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


for command in (what_fits, calibrate, validate, record, prove, check):
    main.add_command(command)


def _check_step(context: click.Context, step: str | None, any_batch: bool) -> None:
    """Refuse options that contradict --step, or that need it."""
    if step is None:
        if any_batch:
            raise click.ClickException("--any-batch needs --step: the tables use even batches")
        return
    theirs = ("tasks", "models", "policies", "image_shape", "channels_last")
    given = [name for name in theirs if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        flags = {option.name: option.opts[-1] for option in context.command.params}
        raise click.ClickException(f"--step excludes {', '.join(flags[n] for n in given)}")


def _place(backend: str, device: str) -> torch.device | None:
    """The CUDA device to prove on, None to simulate."""
    chosen = pick_device(device)  # tells a wrong name, even where nothing runs on it
    if backend == "simulate":
        return None
    if backend == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--backend cuda needs a CUDA device; --backend simulate works without one")
    if backend == "cuda" and chosen.type != "cuda":
        raise click.ClickException(f"--backend cuda needs a CUDA device, and {device} is none")
    return chosen if chosen.type == "cuda" else None


def _table(records: Sequence[Record]) -> Table:
    rows = [row(record) | {"batch": _batch(record)} for record in records]
    caps = sorted({int(str(r["cap_bytes"])) for r in rows})
    table = Table(
        title="Largest training batch under a memory cap",
        caption="- does not fit  ? failed  (by the upper and lower bound); simulated unless a GPU is named",
    )
    for name in ("task", "model", "policy", "precision", "parameters"):
        table.add_column(name, justify="right" if name == "parameters" else "left")
    for cap in caps:
        table.add_column(f"{cap / GIB:g} GB", justify="right")
    table.add_column("device")
    names = ("task", "model", "policy", "precision")
    for key in dict.fromkeys(tuple(str(r[name]) for name in names) for r in rows):
        mine = {r["cap_bytes"]: r for r in rows if tuple(str(r[name]) for name in names) == key}
        first = next(iter(mine.values()))
        table.add_row(
            *key, f"{first['parameters'] or 0:,}", *(str(mine[cap]["batch"]) for cap in caps), str(first["device"])
        )
    return table


def _batch(record: Record) -> str:
    return record.values.batch_text if isinstance(record.values, FitValues) else "?"


if __name__ == "__main__":
    run(main)
