"""Table 3: network sizes and largest training batches, the paper's beside ours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.records.paper import Paper
from bench.report.drawing.layout import Cell, Row, Table, answer, bytes_text, listing, shape_text
from bench.report.selection.records import MemoryEntry, newest

SIMULATED = "simulated"
Shape = tuple[int, int]


@dataclass(frozen=True)
class MemoryStudy:
    """Memory records and the paper's values, by block (task and image shape), cap and measurement."""

    entries: tuple[MemoryEntry, ...]
    paper: Paper

    @cached_property
    def models(self) -> list[str]:
        """The paper's models, then the user's own."""
        known = [model.key for model in self.paper.models]
        return known + sorted({entry.spec.model for entry in self.entries} - set(known))

    @property
    def recompute(self) -> bool:
        """Whether anything was measured with stages rebuilt in the backward pass."""
        return any(entry.spec.policy == "recompute" for entry in self.entries)

    def blocks(self) -> list[tuple[str, Shape | None]]:
        """Return (task, image shape) of what was measured, and (task, None) of the paper's other blocks."""
        shapes: dict[str, set[Shape]] = {}
        for entry in self.entries:
            shapes.setdefault(entry.spec.task, set()).add(entry.spec.image_shape)
        decoded = {task.key: task.image_shape for task in self.paper.tasks}
        blocks: list[tuple[str, Shape | None]] = []
        for task in self.paper.covering(shapes):
            # The paper's image size first: only there do its batches compare with ours.
            order = sorted(shapes.get(task, ()), key=lambda shape: (shape != decoded.get(task), shape))
            blocks += [(task, shape) for shape in order] or [(task, None)]
        return blocks

    def of_block(self, task: str, shape: Shape | None) -> list[MemoryEntry]:
        """Return a block's records."""
        return [entry for entry in self.entries if (entry.spec.task, entry.spec.image_shape) == (task, shape)]

    def caps(self, task: str, entries: Iterable[MemoryEntry]) -> list[tuple[int, str]]:
        """Return (bytes, label) of every cap: the records', and the paper's where no record has them."""
        caps = {entry.spec.cap_bytes: bytes_text(entry.spec.cap_bytes) for entry in entries}
        for row in self.paper.max_batch:
            if task in row.tasks and not caps.keys() & set(row.cap_bytes):
                caps[row.cap_bytes[0]] = f"{row.capacity_gb} GB"
        return sorted(caps.items())


def is_table3(entry: MemoryEntry) -> bool:
    """Whether a record asks the paper's question: full precision, the allocator's default settings."""
    return entry.spec.precision == "fp32" and not entry.spec.expandable_segments


def means_of(entry: MemoryEntry) -> str:
    """Return in print how a batch was found: simulated, or the GPU's name."""
    return SIMULATED if entry.spec.backend == "simulate" else entry.provenance.device.removeprefix("NVIDIA ")


def memory_table(study: MemoryStudy) -> Table:
    """Lay out Table 3: one block per task and image size, every cap in the records, both policies."""
    columns, header = _header(study)
    body = [row for task, shape in study.blocks() for row in _block(study, task, shape)]
    title = "Network sizes and largest training batches under a memory cap, the paper's beside ours."
    return Table("table3", title, columns, header, tuple(body), tuple(_notes(study))).with_legend()


def _notes(study: MemoryStudy) -> list[str]:
    notes = [
        "0: no image fits (the paper prints a dash). Caps in GiB are compared with the paper's caps in GB.",
        "#Params follows the paper, which counts the frozen blur kernel in some networks." + _trainable(study),
    ]
    if any(entry.spec.backend == "simulate" for entry in study.entries):
        notes.append("simulated: the step's memory requests are replayed through a model of CUDA's allocator.")
    if study.recompute:
        notes.append("rec.: every stage is recomputed in the backward pass; same weights and gradients.")
    return notes


def _header(study: MemoryStudy) -> tuple[str, tuple[Row, ...]]:
    known = {model.key for model in study.paper.models}
    top, bottom = (
        [Cell(), Cell(), Cell()],
        [Cell("Task"), Cell("GPU RAM"), Cell("Backend")],
    )
    for model in study.models:
        names = ["paper"] * (model in known) + ["ours"] + ["rec."] * study.recompute
        top.append(Cell(study.paper.model_title(model), span=len(names), align="c"))
        bottom += [Cell(name) for name in names]
    return "lll" + "r" * (len(bottom) - 3), (Row(tuple(top)), Row(tuple(bottom)))


def _block(study: MemoryStudy, task: str, shape: Shape | None) -> list[Row]:
    entries = study.of_block(task, shape)
    cells = [Cell(study.paper.task_title(task)), Cell("#Params"), Cell()]
    for model in study.models:
        cells += _parameter_cells(study, task, model, [item for item in entries if item.spec.model == model])
    rows = [Row(tuple(cells), rule=True)]
    for cap, label in study.caps(task, entries):
        rows += _cap_rows(study, task, (cap, label), [item for item in entries if item.spec.cap_bytes == cap])
    size = Cell(shape_text(shape) if shape else "")
    return [rows[0], Row((size, *rows[1].cells[1:])), *rows[2:]] if len(rows) > 1 else rows


def _cap_rows(study: MemoryStudy, task: str, cap: tuple[int, str], entries: Sequence[MemoryEntry]) -> list[Row]:
    rows: list[Row] = []
    every_means = {means_of(entry) for entry in entries} or {""}
    for means in sorted(every_means, key=lambda name: (name != SIMULATED, name)):
        cells = [Cell(), Cell("" if rows else cap[1]), Cell(means)]
        alike = [entry for entry in entries if means_of(entry) == means]
        for model in study.models:
            paper = None if rows else study.paper.largest_batch(task, model, cap[0])
            own = [entry for entry in alike if entry.spec.model == model]
            ours = [_batch_cell(own, "paper"), _batch_cell(own, "recompute")]
            cells += _row_cells(study, model, paper, ours)
        rows.append(Row(tuple(cells)))
    return rows


def _parameter_cells(study: MemoryStudy, task: str, model: str, entries: Sequence[MemoryEntry]) -> list[Cell]:
    best = newest(entry for entry in entries if entry.values)
    count = f"{best.values.parameters:,}" if best and best.values else None
    ours = answer(count, [best] if best else [])
    return _row_cells(study, model, study.paper.parameter_count(task, model), [ours, Cell()])


def _batch_cell(entries: Sequence[MemoryEntry], policy: str) -> Cell:
    best = newest(entry for entry in entries if entry.spec.policy == policy)
    batch = f"{best.values.max_batch:,}" if best and best.values else None
    return answer(batch, [best] if best else [])


def _row_cells(study: MemoryStudy, model: str, paper: int | None, ours: list[Cell]) -> list[Cell]:
    """Return the paper's cell, ours and, where anything was measured so, ours under recomputation."""
    in_paper = model in {known.key for known in study.paper.models}
    return [Cell("" if paper is None else f"{paper:,}")] * in_paper + ours[: 1 + study.recompute]


def _trainable(study: MemoryStudy) -> str:
    """Say how many parameters train wherever that differs from the printed count."""
    differ: dict[str, dict[str, str]] = {}
    for entry in study.entries:
        values = entry.values
        if values is not None and values.trainable_parameters != values.parameters:
            title = study.paper.model_title(entry.spec.model)
            counts = differ.setdefault(study.paper.task_title(entry.spec.task), {})
            counts[title] = f"{title} {values.trainable_parameters:,}"
    lines = [f"{task} {listing(counts[model] for model in sorted(counts))}" for task, counts in differ.items()]
    return f" Trainable only: {'; '.join(lines)}." if lines else ""
