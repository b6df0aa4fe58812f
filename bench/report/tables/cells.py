"""The page with the quality and cost of every cell of Table 2."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bench.evaluation.bootstrap import difference
from bench.records import AccuracyValues, Start, mean_psnr_db
from bench.records.paper import Paper
from bench.report.drawing.latex import environment
from bench.report.selection.accuracy import Study, scores_of
from bench.report.selection.precision import NAMES
from bench.report.selection.records import AccuracyEntry

NUMBERS = (
    *("Seed", "Start, dB", "PSNR, dB", "SSIM", "Over TV, dB", "Steps", "Kept", "As denoiser", "Hours", "s per step"),
    *("Skipped", "Residual", "Solver steps"),
)
"""Right-aligned columns."""

START_TITLES: dict[Start, str] = {"adjoint": "the paper's", "fbp": "FBP"}


@dataclass(frozen=True)
class CellLine:
    """One record, in print."""

    names: tuple[str, ...]
    figures: tuple[str, ...]


def cells_page(study: Study, paper: Paper) -> str:
    """Return the page as Markdown.

    Args:
        study: the headline study.
        paper: order and titles.
    """
    parts = (study, *study.other_starts.values())
    lines = [_line(part, entry, paper) for task in study.tasks(paper) for part in parts for entry in _of(part, task)]
    template = environment().get_template("cells.md.j2")
    return template.render(title=study.group.title, numbers=NUMBERS, lines=lines)


def _of(study: Study, task: str) -> Sequence[AccuracyEntry]:
    return [
        entry for key, cell in study.cells.items() if key[0] == task for entry in (*cell, *study.twins.get(key, ()))
    ]


def _line(study: Study, entry: AccuracyEntry, paper: Paper) -> CellLine:
    spec, values = entry.spec, entry.values
    names = paper.task_title(spec.task), START_TITLES[spec.start], paper.model_title(spec.model), spec.loss
    precision = f"{NAMES[spec.precision]}{', AMX' if values and values.amx else ''}"
    figures = _figures(study, entry, values) if values else (entry.status.value, *[""] * (len(NUMBERS) - 2))
    return CellLine((*names, precision), (str(spec.seed), *figures))


def _figures(study: Study, entry: AccuracyEntry, values: AccuracyValues) -> tuple[str, ...]:
    recipe, items = entry.spec.recipe, values.items
    tv = study.references.get((entry.spec.task, "tv"))
    gain = difference(items, tv.values.items) if tv and tv.values else None
    residuals = [item.residual for item in scores_of([entry]) if item.residual is not None]
    hours = (values.train_s + values.pretrain_s + values.validation_s) / 3600
    return (
        *(f"{mean:.2f}" for mean in mean_psnr_db(items)),
        f"{fmean(item.ssim for item in items):.3f}",
        f"{gain.mean_db:+.2f}" if gain else "",
        f"{recipe.steps:,}",
        f"{values.chosen_step:,}" if values.chosen_step is not None else "last",
        f"{recipe.pretrain_steps:,}",
        f"{hours:.2f}",
        f"{values.step_s:.2f}" if values.step_s is not None else "",
        f"{values.skipped_steps:,}",
        f"{np.quantile(residuals, 0.9):.1e}" if residuals else "",
        " ".join(f"{steps:.1f}" for steps in values.solver_steps),
    )
