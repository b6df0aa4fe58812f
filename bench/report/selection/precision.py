"""Table 2's notes on precision: the PSNR difference between two precisions of the same training."""

from bench.evaluation.bootstrap import Difference, difference
from bench.records.paper import Paper
from bench.report.selection.accuracy import Study, scores_of

NAMES = {"fp32": "float32", "bf16": "bfloat16"}


def precision_notes(study: Study, paper: Paper) -> list[str]:
    """Compare cells that were trained in two precisions with the same steps and seed, one line per cell.

    Args:
        study: the accuracy of one group of records.
        paper: order and titles.
    """
    notes = []
    for task in study.tasks(paper):
        for model, loss in study.columns(paper):
            twins = study.twins.get((task, model, loss), ())
            seeds = {twin.spec.seed for twin in twins}
            shown = [entry for entry in study.cells.get((task, model, loss), ()) if entry.spec.seed in seeds]
            gap = difference(scores_of(shown), scores_of(twins))
            if gap is not None:
                subject = f"{paper.task_title(task)}, {paper.model_title(model)}, {loss} loss"
                names = (NAMES[entries[0].spec.precision] for entries in (shown, twins))
                notes.append(f"{subject}, {' minus '.join(names)} with the same steps and seed: {_text(gap)}.")
    return notes


def _text(gap: Difference) -> str:
    interval = "" if gap.low_db is None else f" (95 % interval over images: {gap.low_db:+.2f} to {gap.high_db:+.2f})"
    return f"{gap.mean_db:+.2f} dB{interval}".replace("-", "\N{MINUS SIGN}")
