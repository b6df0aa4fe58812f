"""Table 2: reconstruction quality, the paper's lines above ours."""

import csv
import io
from collections.abc import Callable, Sequence

from bench.paper import Metric, Paper
from bench.report.choice import AccuracyEntry
from bench.report.layout import Cell, Row, Table, answer, embolden_best, listing, shape_text
from bench.report.study import Study, scores_of

METRICS: tuple[tuple[Metric, str, Callable[[float], str]], ...] = (
    ("psnr_db", "PSNR", lambda value: f"{value:.2f}"),
    ("ssim", "SSIM", lambda value: f"{value:.3f}"),
)
LOSS_TITLES = {"final": "Final loss", "aux": "Aux loss"}
CSV_FIELDS = (
    *("task", "model", "loss", "metric", "paper", "mean", "low95", "high95", "start", "images", "groups"),
    *("seeds", "status", "scale", "data", "policy", "precision", "train_images", "steps", "batch", "image_height"),
    *("image_width", "device", "torch", "commit", "dirty"),
)
SPEC_FIELDS = ("scale", "data", "policy", "precision", "train_images")
RECIPE_FIELDS = ("steps", "batch")


def accuracy_table(study: Study, paper: Paper, name: str) -> Table:
    """Lay out Table 2 for one study.

    Args:
        study: the accuracy of one group of records.
        paper: the paper's values.
        name: file name without ending.
    """
    columns = study.columns(paper)
    body = [row for task in study.tasks(paper) for row in _task_rows(study, paper, task, columns)]
    notes = [
        "The two best of each line in bold, among the paper's and among ours separately. "
        "Start: the image that every network starts from (not in the paper).",
        f"Ours: {study.group.title}; means over the held-out images, with 95 % intervals in {name}.csv.",
        *conditions(study, paper),
    ]
    table = Table(
        name=name,
        title=f"Average PSNR (dB) and SSIM on held-out images, paper and ours ({study.group.title}).",
        columns="lllc" + "c" * len(columns),
        header=_header(columns, paper),
        body=tuple(body),
        notes=tuple(notes),
    )
    return table.with_legend()


def conditions(study: Study, paper: Paper) -> list[str]:
    """Say what the figures were measured on, one line for all tasks that agree in it."""
    alike: dict[str, list[str]] = {}
    for task in study.tasks(paper):
        entries = [entry for key, cell in study.cells.items() if key[0] == task for entry in cell]
        if entries:
            alike.setdefault(_condition(entries), []).append(paper.task_title(task))
    return [f"{listing(titles)}: {condition}." for condition, titles in alike.items()]


def _condition(entries: Sequence[AccuracyEntry]) -> str:
    specs = [entry.spec for entry in entries]
    seeds = sorted({spec.seed for spec in specs})
    graded = len({(item.group, item.name) for item in scores_of(entries)})
    source = specs[0].data
    return ", ".join(
        (
            "generated images" if source == "generated" else f"images of {source!r}",
            f"{shape_text(specs[0].image_shape)} pixels",
            f"{listing(f'{s.recipe.steps:,}' for s in specs)} steps of batch {listing(s.recipe.batch for s in specs)}",
            f"at most {listing(f'{spec.train_images:,}' for spec in specs)} training images",
            f"{graded:,} test images",
            f"mean over seeds {listing(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}",
        )
    )


def accuracy_csv(study: Study, paper: Paper) -> str:
    """Return every figure of a study's table with its 95 % bootstrap interval and its conditions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for task in study.tasks(paper):
        for model, loss in study.columns(paper):
            for metric, _, _ in METRICS:
                writer.writerow(_csv_row(study, paper, (task, model, loss), metric))
    return text.getvalue()


def _header(columns: list[tuple[str, str]], paper: Paper) -> tuple[Row, ...]:
    models = list(dict.fromkeys(model for model, _ in columns))
    spans = [sum(column[0] == model for column in columns) for model in models]
    top = [Cell(paper.model_title(model), span, align="c") for model, span in zip(models, spans, strict=True)]
    bottom = [Cell(LOSS_TITLES.get(loss, loss)) for _, loss in columns]
    return Row((*[Cell()] * 4, *top)), Row((Cell("Task"), Cell(), Cell(), Cell("Start"), *bottom))


def _task_rows(study: Study, paper: Paper, task: str, columns: list[tuple[str, str]]) -> list[Row]:
    rows: list[Row] = []
    title = paper.task_title(task)
    in_paper = any(line.task == task for line in paper.table2)
    for source in ("paper", "ours") if in_paper else ("ours",):
        for metric, metric_title, show in METRICS:
            first = metric == "psnr_db"
            if source == "paper":
                cells = [_paper_cell(paper.accuracy(task, metric, *column), show) for column in columns]
                start = Cell()
            else:
                cells = [_our_cell(study, (task, *column), metric, show) for column in columns]
                value = study.start(task, metric)
                start = answer(show(value.mean) if value else None, [])
            label = Cell(title if first and not rows else "")
            line = (label, Cell(source if first else ""), Cell(metric_title), start, *embolden_best(cells))
            rows.append(Row(line, rule=not rows))
    return rows


def _paper_cell(value: float | None, show: Callable[[float], str]) -> Cell:
    return Cell() if value is None else Cell(show(value))


def _our_cell(study: Study, key: tuple[str, str, str], metric: Metric, show: Callable[[float], str]) -> Cell:
    value = study.estimate(key, metric)
    return answer(show(value.mean) if value else None, study.cells.get(key, ()))


def _csv_row(study: Study, paper: Paper, key: tuple[str, str, str], metric: Metric) -> dict[str, object]:
    task, model, loss = key
    row: dict[str, object] = {"task": task, "model": model, "loss": loss, "metric": metric}
    row["paper"] = paper.accuracy(task, metric, model, loss)
    entries = study.cells.get(key, ())
    if not entries:
        return row
    spec, origins = entries[0].spec, [entry.provenance for entry in entries]
    value, start = study.estimate(key, metric), study.start(task, metric)
    if value is not None:
        row |= {"mean": f"{value.mean:.6g}", "images": value.images, "groups": value.groups}
    if value is not None and value.low is not None:
        row |= {"low95": f"{value.low:.6g}", "high95": f"{value.high:.6g}"}
    return row | {
        "start": f"{start.mean:.6g}" if start else None,
        "seeds": " ".join(str(entry.spec.seed) for entry in entries),
        "status": " ".join(dict.fromkeys(entry.status.value for entry in entries)),
        **{name: getattr(spec, name) for name in SPEC_FIELDS},
        **{name: getattr(spec.recipe, name) for name in RECIPE_FIELDS},
        "image_height": spec.image_shape[0],
        "image_width": spec.image_shape[1],
        "device": " | ".join(dict.fromkeys(origin.device for origin in origins)),
        "torch": " ".join(dict.fromkeys(origin.torch for origin in origins)),
        "commit": " ".join(dict.fromkeys(str(origin.commit) for origin in origins)),
        "dirty": any(origin.dirty for origin in origins),
    }
