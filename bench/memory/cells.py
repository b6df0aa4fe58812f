"""Table 3's cells: one question for every task, model, policy, precision and cap."""

from collections.abc import Sequence
from functools import partial

import torch
from rich.table import Table

from bench.memory.cuda import context_alone, probe
from bench.memory.options import TABLE3_QUESTION, MemoryQuestion
from bench.memory.questions import memory_specs
from bench.memory.search import largest_batch
from bench.memory.simulate import (
    candidates_of,
    find_calibration,
    fit_values,
    parameters_of,
    simulate,
    simulated_batch,
    trace_key,
)
from bench.memory.traces import StepKey, TraceKey, forget_traces
from bench.records import (
    GIB,
    FitSpec,
    FitValues,
    MemorySpec,
    MemoryValues,
    Policy,
    Provenance,
    Record,
    Status,
    StepValues,
)
from bench.records.environment import provenance
from bench.records.kernels import libraries
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter

TABLE3_TASKS = ("deblur", "ct", "mri4x")
TABLE3_CAPS_BYTES = (8 * GIB, 10 * GIB, 24 * GIB)


def memory_cells(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    caps: Sequence[int],
    device: torch.device | None,
    question: MemoryQuestion = TABLE3_QUESTION,
) -> list[StudyCell]:
    """Return one cell per task, model, policy, precision and cap.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        policies: ``paper``, ``recompute``.
        caps: bytes.
        device: the CUDA device to prove on, or None to simulate.
        question: the rest.

    Raises:
        click.ClickException: if there is no such calibration.
    """
    where = provenance(device)
    if device is not None:
        where = where.model_copy(update=libraries(tf32=question.tf32))
    find_calibration(question.calibration)
    specs = memory_specs(tasks, models, policies, caps, "simulate" if device is None else "cuda", question)
    return [_cell(spec, where, device) for spec in specs]


def _cell(spec: MemorySpec, where: Provenance, device: torch.device | None) -> StudyCell:
    variant = f"{spec.policy} {spec.precision} {spec.cap_bytes / GIB:g} GB"
    return fit_cell(spec, where, device, variant)


def forget(cells: Sequence[StudyCell]) -> None:
    """Delete the stored traces of simulated cells, so that they are made again."""
    forget_traces({cell.group for cell in cells if isinstance(cell.group, TraceKey | StepKey)})


def fit_cell(spec: FitSpec, where: Provenance, device: torch.device | None, variant: str) -> StudyCell:
    """Return the cell of one question for the largest batch; simulated cells of the same trace share a process."""
    simulated = device is None
    group = trace_key(spec) if simulated else None
    return StudyCell(spec, where, partial(_measure, spec, device), variant, apart=simulated, group=group)


def _measure(spec: FitSpec, device: torch.device | None, reporter: CellReporter) -> Outcome:
    reporter.detail("searching")
    return outcome(simulate(spec, parameters_of(spec)) if device is None else proved(spec, device))


def proved(spec: FitSpec, device: torch.device) -> MemoryValues | StepValues:
    """Search on a GPU, from the simulation's answer on."""
    attempt = partial(probe, spec, device=device, context_bytes=context_alone(spec, device))
    batch, probes = largest_batch(attempt, max(simulated_batch(spec), 1), candidates_of(spec))
    return fit_values(batch, probes, parameters_of(spec))


def outcome(values: MemoryValues | StepValues) -> Outcome:
    """Say in words what was found; where nothing fits, what one image would take."""
    if not values.max_batch:
        reason = f"not even one image fits: it takes {values.next_peak_bytes / GIB:.2f} GiB"
        return Outcome(Status.OK, values, message=reason, summary=reason)
    between = ""
    if values.sure_batch is not None and values.sure_batch != values.possible_batch:
        between = f" ({values.sure_batch} to {values.possible_batch})"
    slower = values.slower_batch if values.slower_batch is not None else values.max_batch
    more = f", {slower} with slower convolutions" if slower > values.max_batch else ""
    return Outcome(Status.OK, values, summary=f"batch {values.max_batch}{between}{more}")


def row(record: Record) -> dict[str, object]:
    """Return a record as the flat row that ``--format json`` prints."""
    spec, values = record.spec, record.values
    assert isinstance(spec, MemorySpec)
    answer = values if isinstance(values, MemoryValues) else None
    names = ("max_batch", "parameters", "trainable_parameters", "peak_bytes", "next_peak_bytes")
    more = ("bytes_per_image", "sure_batch", "possible_batch", "slower_batch")
    return {
        "task": spec.task,
        "model": spec.model,
        "policy": spec.policy,
        "cap_bytes": spec.cap_bytes,
        **{name: getattr(answer, name, None) for name in names},
        "backend": spec.backend,
        "device": record.provenance.device,
        "status": record.status.value,
        "precision": spec.precision,
        "image_shape": list(spec.image_shape),
        **{name: getattr(answer, name, None) for name in more},
    }


def memory_table(records: Sequence[Record]) -> Table:
    """Lay out the largest batches, one row per task, model, policy and precision, one column per cap."""
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
