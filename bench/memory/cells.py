"""Table 3's cells: one question for every task, model, policy, precision and cap."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from bench.memory.cuda import context_alone, probe
from bench.memory.processes import in_processes
from bench.memory.questions import TABLE3_QUESTION, MemoryQuestion, memory_specs
from bench.memory.search import largest_batch
from bench.memory.simulate import (
    candidates_of,
    find_calibration,
    fit_values,
    parameters_of,
    simulate,
    simulate_all,
    simulated_batch,
    trace_key,
)
from bench.memory.traces import AnyKey, forget_traces
from bench.records import (
    GIB,
    FitSpec,
    MemorySpec,
    MemoryValues,
    Policy,
    Provenance,
    Record,
    Status,
    StepSpec,
    StepValues,
)
from bench.records.environment import provenance
from bench.records.kernels import libraries
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell
from bench.records.store import ResultStore

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


def simulate_ahead(cells: Sequence[StudyCell], store: ResultStore, *, force: bool = False) -> list[StudyCell]:
    """Simulate the cells that are not stored with one process per core, one model and task at a time.

    Returns:
        The same cells; those whose answers are known now only tell them.
    """
    groups: dict[AnyKey, list[FitSpec]] = {}
    for cell in cells:
        if not isinstance(cell.spec, MemorySpec | StepSpec) or cell.spec.backend != "simulate":
            continue
        if force or store.finished(cell.spec, cell.provenance) is None:
            groups.setdefault(trace_key(cell.spec), []).append(cell.spec)
    if force:
        forget_traces(groups)
    with Reporter(len(groups)).live() as reporter:
        reporter.start("simulating training steps")
        # The last come first: registries list small models first, and long work should not be left for the end.
        work = [tuple(specs) for specs in reversed(groups.values())]
        answers = in_processes(simulate_all, work, lambda done: reporter.finish("done"))
    known = {spec: values for found in answers.values() for spec, values in found.items()}
    return [replace(cell, measure=_telling(known[cell.spec])) if cell.spec in known else cell for cell in cells]


def _telling(values: MemoryValues | StepValues) -> Callable[[Reporter], Outcome]:
    return lambda _: outcome(values)


def _cell(spec: MemorySpec, where: Provenance, device: torch.device | None) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        reporter.detail("searching")
        if device is None:
            return outcome(simulate(spec, parameters_of(spec)))
        return outcome(proved(spec, device))

    variant = f"{spec.policy} {spec.precision} {spec.cap_bytes / GIB:g} GB"
    return StudyCell(spec, where, measure, variant)


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
