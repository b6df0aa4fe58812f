"""Table 2's notes on methods without training and on the spread between seeds."""

from collections.abc import Sequence
from itertools import accumulate

from bench.evaluation.bootstrap import Difference, difference
from bench.records.paper import Paper
from bench.report.drawing.layout import PLUS_MINUS, listing
from bench.report.selection.accuracy import METHODS, Study, scores_of
from bench.report.selection.records import AccuracyEntry

TUNED = {
    "fbp": "FBP: filtered backprojection, with the exact transpose of A; window and cut-off",
    "tv": "TV: total variation, minimised by the primal-dual hybrid gradient method; weight",
}

BELOW = "below TV by"
EXPLAINED = (
    "Below TV: mean difference in dB (95 % interval; rise of the best validation PSNR in the last quarter of "
    "training, positive: still improving)."
)


def spread_notes(study: Study) -> list[str]:
    """Explain the plus-minus signs and the cells without one."""
    entries = [[entry for entry in cell if entry.values] for cell in study.cells.values()]
    if not any(entries):
        return []
    if all(len(cell) < 2 for cell in entries):
        return ["One seed per cell: the spread between seeds is unknown."]
    note = f"{PLUS_MINUS}: half the range of the per-seed means."
    single = any(len(cell) == 1 for cell in entries)
    return [note + (" Without it: one seed." if single else "")]


def reference_notes(study: Study, paper: Paper) -> list[str]:
    """Say how the methods without training were tuned, and which networks of each task do not beat total variation."""
    notes = [f"{TUNED[method]} tuned on validation images." for method in study.methods]
    verdicts = []
    for task in study.tasks(paper):
        entry = study.references.get((task, "tv"))
        if entry is not None and entry.values is not None:
            verdicts.append(f"{paper.task_title(task)}: {_verdict(study, paper, task)}.")
    explained = any(BELOW in verdict for verdict in verdicts)
    return [*notes, *([EXPLAINED] if explained else []), *verdicts]


def gains_over(study: Study, task: str, method: str) -> dict[tuple[str, str], Difference]:
    """Return by how much PSNR every network of a task is above a method without training, by (model, loss)."""
    entry = study.references.get((task, method))
    if entry is None or entry.values is None:
        return {}
    found = {}
    for (of_task, model, loss), cell in study.cells.items():
        gain = difference(scores_of(cell), entry.values.items) if of_task == task else None
        if gain is not None:
            found[model, loss] = gain
    return found


def _verdict(study: Study, paper: Paper, task: str) -> str:
    gains = gains_over(study, task, "tv")
    if not gains:
        return f"no network to compare with {METHODS['tv']}"
    short = [column for column in study.columns(paper) if column in gains and gains[column].mean_db <= 0]
    if not short:
        above = [gain.mean_db for gain in gains.values()]
        return f"every network beats TV, by {min(above):.2f} to {max(above):.2f} dB"
    named = [
        f"{paper.model_title(model)} {loss} {-gains[model, loss].mean_db:.2f}"
        + _bracket(gains[model, loss], _late_rise_db(study.cells[task, model, loss]))
        for model, loss in short
    ]
    return f"{BELOW} {listing(named)}"


def _bracket(gain: Difference, rise_db: float | None) -> str:
    parts = []
    if gain.low_db is not None and gain.high_db is not None:
        parts.append(f"{-gain.high_db:.2f} to {-gain.low_db:.2f}")
    if rise_db is not None:
        parts.append(f"{rise_db:+.2f}")
    return f" ({'; '.join(parts)})" if parts else ""


def _late_rise_db(cell: Sequence[AccuracyEntry]) -> float | None:
    """Return the rise of the best validation PSNR in the last quarter of training; positive: still improving."""
    rises = []
    for entry in cell:
        trace = entry.values.validation_trace if entry.values else ()
        best = accumulate((point.psnr_db for point in trace), max)
        late = [score for point, score in zip(trace, best, strict=True) if 4 * point.step >= 3 * trace[-1].step]
        if len(late) > 1:
            rises.append(late[-1] - late[0])
    return sum(rises) / len(rises) if rises else None
