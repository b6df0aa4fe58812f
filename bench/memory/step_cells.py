"""The cells of a user's own training step: one question for every precision and cap."""

from collections.abc import Sequence
from itertools import product

import torch
from rich.table import Table

from bench.memory.cells import fit_cell
from bench.memory.options import MemoryQuestion
from bench.memory.user_step import code_of_step
from bench.records import GIB, MIB, Record, StepSpec, StepValues
from bench.records.environment import provenance
from bench.records.kernels import libraries
from bench.runner.cell import StudyCell


def step_cells(
    step: str, caps: Sequence[int], device: torch.device | None, question: MemoryQuestion, *, any_batch: bool = False
) -> list[StudyCell]:
    """Return one cell per precision and cap.

    Args:
        step: ``package.module:make_step``.
        caps: bytes.
        device: the CUDA device to prove on, or None to simulate.
        question: precisions and flags.
        any_batch: whether odd batches count, too.

    Raises:
        click.ClickException: if the step cannot be imported, or has no source file.
    """
    where = provenance(device)
    if device is not None:
        where = where.model_copy(update=libraries(tf32=question.tf32))
    code = code_of_step(step)
    specs = [
        StepSpec(
            step=step,
            code=code,
            cap_bytes=cap,
            backend="simulate" if device is None else "cuda",
            precision=precision,
            expandable_segments=question.expandable_segments,
            calibration=question.calibration,
            tf32=question.tf32,
            any_batch=any_batch,
        )
        for precision, cap in product(question.precisions, caps)
    ]
    return [fit_cell(spec, where, device, f"{spec.precision} {spec.cap_bytes / GIB:g} GB") for spec in specs]


def step_row(record: Record) -> dict[str, object]:
    """Return a record as the flat row that ``--format json`` prints."""
    spec, values = record.spec, record.values
    assert isinstance(spec, StepSpec)
    answer = values if isinstance(values, StepValues) else None
    names = (
        "max_batch",
        "peak_bytes",
        "next_peak_bytes",
        "bytes_per_image",
        "sure_batch",
        "possible_batch",
        "slower_batch",
    )
    return {
        "step": spec.step,
        "cap_bytes": spec.cap_bytes,
        "precision": spec.precision,
        "tf32": spec.tf32,
        "backend": spec.backend,
        "device": record.provenance.device,
        "status": record.status.value,
        "message": record.message,
        **{name: getattr(answer, name, None) for name in names},
    }


def step_table(records: Sequence[Record]) -> Table:
    """Lay out a step's answers, one row per precision and cap."""
    table = Table(
        title="Largest training batch under a memory cap",
        caption="- does not fit  ? failed  (by the upper and the lower bound); simulated unless a GPU is named",
    )
    for name in ("step", "precision", "cap", "largest batch", "GiB at it", "MiB a sample", "device"):
        table.add_column(name, justify="left" if name in ("step", "precision", "device") else "right")
    for record in records:
        row, spec, values = step_row(record), record.spec, record.values
        assert isinstance(spec, StepSpec)
        figures = ("?", "", "")
        if isinstance(values, StepValues):
            peak = "" if values.peak_bytes is None else f"{values.peak_bytes / GIB:.2f}"
            growth = "" if values.bytes_per_image is None else f"{values.bytes_per_image / MIB:.1f}"
            figures = (values.batch_text, peak, growth)
        table.add_row(spec.step, spec.precision, f"{spec.cap_bytes / GIB:g} GB", *figures, str(row["device"]))
    return table
