"""Table 2: reconstruction quality, the paper's lines above ours."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from bench.evaluation.bootstrap import Estimate
from bench.records.paper import Metric, Paper
from bench.report.drawing.layout import ASTRAY, PLUS_MINUS, Cell, Row, Table, answer, embolden_best
from bench.report.selection.accuracy import METHODS, Study
from bench.report.selection.precision import precision_notes
from bench.report.tables.baselines import reference_notes, spread_notes
from bench.report.tables.conditions import conditions, start_text

MetricLine = tuple[Metric, str, Callable[[float], str]]
"""A metric, its title and how its figures are printed."""

METRICS: tuple[MetricLine, ...] = (
    ("psnr_db", "PSNR", lambda value: f"{value:.2f}"),
    ("ssim", "SSIM", lambda value: f"{value:.3f}"),
)
LOSS_TITLES = {"final": "Final loss", "aux": "Aux loss"}
CSV_FIELDS = (
    *("task", "model", "loss", "metric", "paper", "mean", "low95", "high95", "spread", "start", "images", "groups"),
    *("seeds", "status", "scale", "data", "policy", "precision", "train_images", "pretrain_steps", "steps", "batch"),
    *("window", "starts_from", "image_height", "image_width", "device", "torch", "commit", "dirty"),
)
SPEC_FIELDS = ("scale", "data", "policy", "precision", "train_images")
RECIPE_FIELDS = ("pretrain_steps", "steps", "batch", "window")


def accuracy_table(study: Study, paper: Paper, name: str) -> Table:
    """Lay out Table 2 for one study.

    Args:
        study: the accuracy of one group of records.
        paper: the paper's values.
        name: file name without ending.
    """
    body = [row for task in study.tasks(paper) for row in _task_rows(study, paper, task)]
    columns = study.columns(paper)
    notes = [
        "Bold: the two best per line, for the paper and for ours separately. "
        "Start: the image that every network starts from; for MRI the zero-filled one (not in the paper).",
        f"Ours: {study.group.title}; means over the held-out images (95 % intervals: {name}.csv).",
        *spread_notes(study),
        *reference_notes(study, paper),
        *conditions(study, paper),
        *precision_notes(study, paper),
    ]
    table = Table(
        name=name,
        title=f"Average PSNR (dB) and SSIM on held-out images, paper and ours ({study.group.title}).",
        columns="lll" + "c" * (1 + len(study.methods) + len(columns)),
        header=_header(columns, study.methods, paper),
        body=tuple(body),
        notes=tuple(notes),
    )
    return table.with_legend()


def accuracy_csv(study: Study, paper: Paper) -> str:
    """Return every figure of a study's table with its 95 % bootstrap interval and its conditions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for task in study.tasks(paper):
        for part in (study, *(part for part in study.other_starts.values() if part.start_of(task))):
            for model, loss in study.columns(paper):
                for metric, _, _ in METRICS:
                    writer.writerow(_csv_row(part, paper, (task, model, loss), metric))
        for method in study.methods:
            for metric, _, _ in METRICS:
                writer.writerow(_reference_row(study, task, method, metric))
    return text.getvalue()


def _header(columns: list[tuple[str, str]], methods: list[str], paper: Paper) -> tuple[Row, ...]:
    models = list(dict.fromkeys(model for model, _ in columns))
    spans = [sum(column[0] == model for column in columns) for model in models]
    top = [Cell(paper.model_title(model), span, align="c") for model, span in zip(models, spans, strict=True)]
    bottom = [Cell(LOSS_TITLES.get(loss, loss)) for _, loss in columns]
    without = [Cell(METHODS[method]) for method in methods]
    over = [Cell("Without training", 1 + len(methods), align="c")] if methods else [Cell()]
    return Row((*[Cell()] * 3, *over, *top)), Row((Cell("Task"), Cell(), Cell(), Cell("Start"), *without, *bottom))


def _task_rows(study: Study, paper: Paper, task: str) -> list[Row]:
    columns = study.columns(paper)
    lines: list[tuple[str, str, list[Cell]]] = []
    if any(line.task == task for line in paper.table2):
        lines += [("paper", metric[1], _paper_cells(paper, task, metric, columns, study.methods)) for metric in METRICS]
    for part in (study, *study.other_starts.values()):
        if part is study or part.start_of(task):
            label = ", ".join(filter(None, ("ours", start_text(study, part, task))))
            lines += [(label, metric[1], _our_cells(part, task, metric, columns, study.methods)) for metric in METRICS]
    rows = []
    for place, (source, metric_title, cells) in enumerate(lines):
        names = paper.task_title(task) if not place else "", source if place % len(METRICS) == 0 else "", metric_title
        rows.append(Row((*map(Cell, names), *cells), rule=not place))
    return rows


def _paper_cells(
    paper: Paper, task: str, metric: MetricLine, columns: list[tuple[str, str]], methods: list[str]
) -> list[Cell]:
    name, _, show = metric
    cells = [_paper_cell(paper.accuracy(task, name, *column), show) for column in columns]
    return [*[Cell()] * (1 + len(methods)), *embolden_best(cells)]


def _our_cells(
    study: Study, task: str, metric: MetricLine, columns: list[tuple[str, str]], methods: list[str]
) -> list[Cell]:
    name, _, show = metric
    cells = [_our_cell(study, (task, *column), name, show) for column in columns]
    return [*_without_training(study, task, name, show, methods), *embolden_best(cells)]


def _paper_cell(value: float | None, show: Callable[[float], str]) -> Cell:
    return Cell() if value is None else Cell(show(value))


def _our_cell(study: Study, key: tuple[str, str, str], metric: Metric, show: Callable[[float], str]) -> Cell:
    value, spread = study.estimate(key, metric), study.spread(key, metric)
    beside = "" if spread is None else f" {PLUS_MINUS} {show(spread)}"
    cell = answer(f"{show(value.mean)}{beside}" if value else None, study.cells.get(key, ()))
    return replace(cell, mark=cell.mark + ASTRAY) if study.is_astray(key) else cell


def _without_training(
    study: Study, task: str, metric: Metric, show: Callable[[float], str], methods: list[str]
) -> list[Cell]:
    """The starting image's cell, then one a method; empty where the task has no such method."""
    start = study.start(task, metric)
    cells = [answer(show(start.mean) if start else None, [])]
    for method in methods:
        value, entry = study.reference(task, method, metric), study.references.get((task, method))
        cells.append(answer(show(value.mean) if value else None, [entry]) if entry else Cell())
    return cells


def _csv_row(study: Study, paper: Paper, key: tuple[str, str, str], metric: Metric) -> dict[str, object]:
    task, model, loss = key
    row: dict[str, object] = {"task": task, "model": model, "loss": loss, "metric": metric}
    row["paper"] = paper.accuracy(task, metric, model, loss)
    entries = study.cells.get(key, ())
    if not entries:
        return row
    spec, origins = entries[0].spec, [entry.provenance for entry in entries]
    value, start = study.estimate(key, metric), study.start(task, metric)
    spread = study.spread(key, metric)
    return row | {
        **_figures(value),
        "spread": None if spread is None else f"{spread:.6g}",
        "start": f"{start.mean:.6g}" if start else None,
        "seeds": " ".join(str(entry.spec.seed) for entry in entries),
        "status": " ".join(dict.fromkeys(entry.status.value for entry in entries)),
        **{name: getattr(spec, name) for name in SPEC_FIELDS},
        **{name: getattr(spec.recipe, name) for name in RECIPE_FIELDS},
        "starts_from": spec.start,
        "image_height": spec.image_shape[0],
        "image_width": spec.image_shape[1],
        "device": " | ".join(dict.fromkeys(origin.device for origin in origins)),
        "torch": " ".join(dict.fromkeys(origin.torch for origin in origins)),
        "commit": " ".join(dict.fromkeys(str(origin.commit) for origin in origins)),
        "dirty": any(origin.dirty for origin in origins),
    }


def _figures(value: Estimate | None) -> dict[str, object]:
    """The columns of a mean and its interval."""
    if value is None:
        return {}
    figures: dict[str, object] = {"mean": f"{value.mean:.6g}", "images": value.images, "groups": value.groups}
    if value.low is not None:
        figures |= {"low95": f"{value.low:.6g}", "high95": f"{value.high:.6g}"}
    return figures


def _reference_row(study: Study, task: str, method: str, metric: Metric) -> dict[str, object]:
    """A method without training; 'loss' says how it was tuned."""
    row: dict[str, object] = {"task": task, "model": method, "metric": metric}
    entry = study.references.get((task, method))
    if entry is None:
        return row
    start, origin = study.start(task, metric), entry.provenance
    setting = entry.values.setting if entry.values else {}
    return row | {
        **_figures(study.reference(task, method, metric)),
        "loss": " ".join(f"{name}={value}" for name, value in setting.items()),
        "start": f"{start.mean:.6g}" if start else None,
        "status": entry.status.value,
        "data": entry.spec.data,
        "image_height": entry.spec.image_shape[0],
        "image_width": entry.spec.image_shape[1],
        "device": origin.device,
        "torch": origin.torch,
        "commit": str(origin.commit),
        "dirty": origin.dirty,
    }
