"""``python -m bench.memory``: Table 3's question for every model, task and cap."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, Bytes, common_options, policy_option, run, selection_options
from bench.environment import pick_device, provenance
from bench.memory.allocator import GIB
from bench.memory.cuda import probe
from bench.memory.search import count_parameters, guess_batch, largest_batch, next_batch, simulate
from bench.progress import Reporter
from bench.record import Measurement, MemorySpec, Policy, Provenance, Status
from bench.runner import Cell, Outcome, all_answered, run_cells
from bench.store import ResultStore
from bench.tasks import TASKS
from bench.values import MemoryValues, Probe
from models import MODELS

TABLE3_TASKS = ("deblur", "ct", "mri4x")
TABLE3_CAPS_BYTES = (8 * GIB, 10 * GIB, 24 * GIB)

HELP = f"""Find the largest batch (1, or even) whose full training step fits under a memory cap.

The step is forward, loss, backward and Adam at the paper's image sizes. On a CUDA device every answer is proved:
batch b trains under the cap, the next even batch runs out of memory. Without one the step is simulated: every
storage of a traced step is replayed through the caching allocator's rules. GB means GiB, as on graphics cards.
Without --task: deblur, ct and mri4x, the blocks of Table 3.

\b
Examples:
  python -m bench.memory --cap 10GB
  python -m bench.memory --cap 8GB --cap 24GB --task ct --model luser-dw --policy recompute
  python -m bench.memory --cap 24GB --format json

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option(
    "--cap",
    "caps",
    type=Bytes(),
    multiple=True,
    help="Memory cap, e.g. 10GB; repeatable. Default: 8GB, 10GB and 24GB.",
)
@selection_options
@policy_option
@click.option(
    "--backend",
    type=click.Choice(["auto", "simulate", "cuda"]),
    default="auto",
    show_default=True,
    help="auto proves on CUDA where there is one.",
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
def main(
    caps: Sequence[int],
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    backend: Literal["auto", "simulate", "cuda"],
    style: str,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the search from the command line."""
    place = _place(backend, device)
    cells = memory_cells(tasks or TABLE3_TASKS, models or tuple(MODELS), policies, caps or TABLE3_CAPS_BYTES, place)
    records = run_cells(cells, ResultStore(results), force=force)
    if style == "json":
        click.echo(json.dumps([row(record) for record in records], indent=1))
    else:
        Console().print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def memory_cells(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    caps: Sequence[int],
    device: torch.device | None,
) -> list[Cell]:
    """Return one cell per task, model, policy and cap.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        policies: ``paper``, ``recompute``.
        caps: bytes.
        device: the CUDA device to prove on, or None to simulate.
    """
    where = provenance(device)
    return [
        _cell(
            MemorySpec(
                task=task,
                model=model,
                image_shape=TASKS[task].image_shape,
                policy=policy,
                cap_bytes=cap,
                backend="simulate" if device is None else "cuda",
            ),
            where,
            device,
        )
        for task in tasks
        for model in models
        for policy in policies
        for cap in caps
    ]


def row(record: Measurement) -> dict[str, object]:
    """Return a record as the flat row that ``--format json`` prints."""
    spec, values = record.spec, record.values
    assert isinstance(spec, MemorySpec)
    answer = values if isinstance(values, MemoryValues) else None
    return {
        "task": spec.task,
        "model": spec.model,
        "policy": spec.policy,
        "cap_bytes": spec.cap_bytes,
        "max_batch": answer.max_batch if answer else None,
        "parameters": answer.parameters if answer else None,
        "trainable_parameters": answer.trainable_parameters if answer else None,
        "peak_bytes": answer.peak_bytes if answer else None,
        "next_peak_bytes": answer.next_peak_bytes if answer else None,
        "backend": spec.backend,
        "device": record.provenance.device,
        "status": record.status.value,
    }


def _place(backend: str, device: str) -> torch.device | None:
    """The CUDA device to prove on, None to simulate."""
    if backend == "simulate" or (backend == "auto" and not torch.cuda.is_available()):
        return None
    if not torch.cuda.is_available():
        raise click.ClickException("--backend cuda needs a CUDA device; --backend simulate works without one")
    place = pick_device("cuda" if device == "auto" else device)
    return place if place.type == "cuda" else None


def _cell(spec: MemorySpec, where: Provenance, device: torch.device | None) -> Cell:
    def measure(reporter: Reporter) -> Outcome:
        parameters, trainable = count_parameters(spec.task, spec.model, spec.image_shape)

        def attempt(batch: int) -> Probe:
            reporter.detail(f"batch {batch}")
            return simulate(spec, batch) if device is None else probe(spec, batch, device)

        batch, probes = largest_batch(attempt, guess_batch(spec))
        peaks = {tried.batch: tried.peak_bytes for tried in probes}
        values = MemoryValues(
            max_batch=batch,
            parameters=parameters,
            trainable_parameters=trainable,
            peak_bytes=peaks.get(batch),
            next_peak_bytes=peaks[next_batch(batch)],
            probes=probes,
        )
        return Outcome(Status.OK, values, summary=f"batch {batch}" if batch else "does not fit")

    return Cell(spec, where, measure, f"{spec.policy} {spec.cap_bytes / GIB:g} GB")


def _table(records: Sequence[Measurement]) -> Table:
    rows = [row(record) for record in records]
    caps = sorted({spec.cap_bytes for record in records if isinstance(spec := record.spec, MemorySpec)})
    table = Table(
        title="Largest training batch under a memory cap",
        caption="- does not fit    ? failed; simulated unless a GPU is named",
    )
    for name in ("task", "model", "policy", "parameters"):
        table.add_column(name, justify="right" if name == "parameters" else "left")
    for cap in caps:
        table.add_column(f"{cap / GIB:g} GB", justify="right")
    table.add_column("device")
    keys = dict.fromkeys((r["task"], r["model"], r["policy"]) for r in rows)
    for key in keys:
        mine = {r["cap_bytes"]: r for r in rows if (r["task"], r["model"], r["policy"]) == key}
        first = next(iter(mine.values()))
        batches = ["?" if (batch := mine[cap]["max_batch"]) is None else str(batch or "-") for cap in caps]
        table.add_row(*map(str, key), f"{first['parameters'] or 0:,}", *batches, str(first["device"]))
    return table


if __name__ == "__main__":
    run(main)
