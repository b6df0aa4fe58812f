"""Table 4: the paper's verbal comparison of architectures, with our measurements per property."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Literal

from bench.records import GIB, Policy, Status
from bench.records.paper import Property, WordsRow
from bench.report.drawing.layout import DIRTY, MISSING, Cell, Row, Table, answer, bytes_text, listing
from bench.report.selection.records import AccuracyEntry, CallsEntry, MemoryEntry, TimingEntry, newest
from bench.report.tables.table4_entries import C, Comparison, sizes_text

POLICIES: tuple[tuple[Policy, str], ...] = (("paper", ""), ("recompute", ", recompute"))
CallsField = Literal["training_step", "reconstruction"]
TimingField = Literal["train_step_s", "evaluation_s"]


def comparison_table(comparison: Comparison) -> Table:
    """Lay out Table 4: per property the paper's words, then our figures for every task."""
    measured: dict[Property, list[Row]] = {
        "training_time": _time_section(comparison, "train_step_s", "training_step"),
        "evaluation_time": _time_section(comparison, "evaluation_s", "reconstruction"),
        "stability": _stability_section(comparison),
        "size": _size_section(comparison),
        "expressiveness": [],
        "memory": _memory_section(comparison),
    }
    body: list[Row] = []
    for words in comparison.paper.words:
        body += [_words_row(comparison, words), *measured[words.property]]
    return Table(
        name="table4",
        title="Method comparison: the paper's words, with our measurements below each.",
        columns="ll" + "c" * len(comparison.models),
        header=_header(comparison),
        body=tuple(body),
        notes=tuple(_notes(comparison)),
    ).with_legend()


def milliseconds_text(seconds: float) -> str:
    """Return a time in milliseconds with three significant digits: '0.123', '12.3', '1,230'."""
    value = float(f"{seconds * 1e3:.3g}")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _header(comparison: Comparison) -> tuple[Row, ...]:
    top = [Cell(family, span=span, align="c") for family, span in comparison.families]
    own = [Cell()] * (len(comparison.models) - len(comparison.paper.models))
    bottom = [Cell(comparison.paper.model_title(model)) for model in comparison.models]
    return Row((Cell(), Cell(), *top, *own)), Row((Cell("Property"), Cell("Measured"), *bottom))


def _words_row(comparison: Comparison, words: WordsRow) -> Row:
    cells = [Cell(words.values[name], span=span, align="c") for name, span in comparison.families]
    own = [Cell()] * (len(comparison.models) - len(comparison.paper.models))
    return Row((Cell(words.title, bold=True), Cell("the paper's word"), *cells, *own), rule=True)


def _notes(comparison: Comparison) -> list[str]:
    notes = ["Times per image: median over repeats, divided by the batch (in brackets where it differs by model)."]
    if comparison.timing:
        origin = comparison.timing[0].provenance
        where = sizes_text({entry.spec.task: entry.spec.image_shape for entry in comparison.timing}, comparison.paper)
        others = {entry.provenance.device for entry in comparison.records.timing} - {origin.device}
        also = f"; not shown: timings on {listing(sorted(others))}" if others else ""
        threads = f"{origin.threads} thread" + "s" * (origin.threads != 1)
        notes.append(f"Timed on {origin.device}, torch {origin.torch}, {threads}, {where}{also}.")
        notes.append("Timed with initial weights: LUSER's solves then take two steps; with trained weights, more.")
    if any(entry.spec.batch_rule == "maximum" for entry in comparison.timing):
        notes.append("Maximum batch: the largest that trains under the cap at the paper's image size.")
    counted = ""
    if comparison.calls:
        steps = listing(sorted({entry.spec.training_steps for entry in comparison.calls}))
        where = sizes_text({entry.spec.task: entry.spec.image_shape for entry in comparison.calls}, comparison.paper)
        counted = f"; counted after {steps} training steps, {where}"
    notes.append(f"Operator calls per batch: applications of the operator + of its adjoint{counted}.")
    if comparison.study:
        notes.append(f"Stability: all tasks, losses and seeds of {comparison.study.group.title}.")
        notes.append(
            "Diverged: training ended early, over 10 % of its steps not finite, or 20 losses in a row above 1."
        )
        notes.append("Residuals: of the worst stage at the last recorded training step, median over runs.")
    notes.append("Expressiveness: see Table 2.")
    return notes


def _time_section(comparison: Comparison, timing: TimingField, calls: CallsField) -> list[Row]:
    timed, counted = comparison.tasks(comparison.timing), comparison.tasks(comparison.calls)
    rows = []
    for task in comparison.paper.in_order({*timed, *counted}):
        lines = _timing_lines(comparison, task, timing) if task in timed else []
        lines += [_calls_line(comparison, task, calls)] if task in counted else []
        rows += _under_task(comparison, task, lines)
    return rows


def _timing_lines(comparison: Comparison, task: str, field: TimingField) -> list[list[Cell]]:
    lines = []
    for policy, ending in POLICIES:
        for rule in ("common", "maximum"):
            entries = comparison.timing_row(task, policy, rule)
            if entries or (policy, rule) == ("paper", "common"):
                label = Cell(_timing_label(entries) + ending)
                lines.append([label, *_model_cells(comparison, entries, _timing_text(field))])
    return lines


def _timing_label(entries: list[TimingEntry]) -> str:
    if not entries:
        return "ms"
    spec = entries[0].spec
    if spec.batch_rule == "common":
        return f"ms, batch {spec.batch}"
    return "ms, maximum batch" + (f" under {bytes_text(spec.cap_bytes)}" if spec.cap_bytes else "")


def _timing_text(field: TimingField) -> Callable[[TimingEntry], str | None]:
    def show(entry: TimingEntry) -> str | None:
        seconds: tuple[float, ...] = getattr(entry.values, field, ())
        if not seconds:
            return None
        text = milliseconds_text(median(seconds) / entry.spec.batch)
        return f"{text} ({entry.spec.batch})" if entry.spec.batch_rule == "maximum" else text

    return show


def _calls_line(comparison: Comparison, task: str, field: CallsField) -> list[Cell]:
    def show(entry: CallsEntry) -> str | None:
        counts: dict[str, float] = getattr(entry.values, field, {})
        forward = sum(count for key, count in counts.items() if key.startswith("forward."))
        adjoint = sum(count for key, count in counts.items() if key.startswith("adjoint."))
        return f"{forward:.4g} + {adjoint:.4g}" if counts else None

    entries = [entry for entry in comparison.calls if entry.spec.task == task]
    return [Cell("operator calls"), *_model_cells(comparison, entries, show)]


def _size_section(comparison: Comparison) -> list[Row]:
    def show(entry: MemoryEntry) -> str | None:
        return f"{entry.values.trainable_parameters:,}" if entry.values else None

    rows = []
    for task in comparison.tasks(comparison.records.memory):
        entries = [entry for entry in comparison.records.memory if entry.spec.task == task]
        line = [Cell("trainable parameters"), *_model_cells(comparison, entries, show)]
        rows += _under_task(comparison, task, [line])
    return rows


def _memory_section(comparison: Comparison) -> list[Row]:
    rows = []
    for task in comparison.tasks(comparison.records.memory):
        lines = []
        for policy, ending in POLICIES:
            entries = comparison.memory_row(task, policy)
            if entries or policy == "paper":
                cap = f" under {bytes_text(entries[0].spec.cap_bytes)}" if entries else ""
                how = ", simulated" if entries and entries[0].spec.backend == "simulate" else ""
                label = Cell(f"GiB per image{cap}{how}{ending}")
                lines.append([label, *_model_cells(comparison, entries, _gib_per_image)])
        rows += _under_task(comparison, task, lines)
    return rows


def _gib_per_image(entry: MemoryEntry) -> str | None:
    values = entry.values
    if values is None:
        return None
    if not values.max_batch or values.peak_bytes is None:
        return "does not fit"
    return f"{values.peak_bytes / values.max_batch / GIB:.3g}"


def _stability_section(comparison: Comparison) -> list[Row]:
    skipped, diverged = [Cell(), Cell("skipped training steps")], [Cell(), Cell("diverged runs")]
    residuals = [Cell(), Cell("residual, backward residual")]
    cells = comparison.study.cells if comparison.study else {}
    for model in comparison.models:
        entries = [entry for key, cell in cells.items() if key[1] == model for entry in cell]
        steps = sum(len(entry.values.loss_trace) for entry in entries if entry.values)
        lost = sum(entry.values.skipped_steps for entry in entries if entry.values)
        bad = sum(entry.status is Status.DIVERGED for entry in entries)
        mark = DIRTY if any(entry.provenance.dirty for entry in entries) else ""
        skipped.append(Cell(f"{lost:,} of {steps:,}" if steps else MISSING, mark=mark))
        diverged.append(Cell(f"{bad} of {len(entries)}" if entries else MISSING, mark=mark))
        residuals.append(Cell(_residual_text(entries), mark=mark))
    return [Row(tuple(skipped)), Row(tuple(diverged)), Row(tuple(residuals))]


def _residual_text(entries: Sequence[AccuracyEntry]) -> str:
    """Return the median over runs of the worst stage's residuals at the last recorded training step."""
    last = [entry.values.solver_trace[-1] for entry in entries if entry.values and entry.values.solver_trace]
    if not last:
        return "no fixed point" if any(entry.values for entry in entries) else MISSING
    forward = median(max(point.forward_residuals) for point in last)
    backward = [max(point.backward_residuals) for point in last if point.backward_residuals]
    return f"{forward:.0e}, " + (f"{median(backward):.0e}" if backward else "none")


def _model_cells(comparison: Comparison, entries: Iterable[C], show: Callable[[C], str | None]) -> list[Cell]:
    members = list(entries)
    cells = []
    for model in comparison.models:
        best = newest(entry for entry in members if entry.spec.model == model)
        cells.append(answer(show(best) if best else None, [best] if best else []))
    return cells


def _under_task(comparison: Comparison, task: str, lines: list[list[Cell]]) -> list[Row]:
    """Print a task's name, indented, on the first of its lines."""
    title = f"  {comparison.paper.task_title(task)}"
    return [Row((Cell("" if place else title), *line)) for place, line in enumerate(lines)]
