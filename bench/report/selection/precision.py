"""What Table 2's notes say of the precision of trainings: by how much another one moves the quality."""

from bench.evaluation.bootstrap import Difference, difference
from bench.records.paper import Paper
from bench.report.selection.accuracy import Study, scores_of

NAMES = {"fp32": "float32", "bf16": "bfloat16"}


def precision_notes(study: Study, paper: Paper) -> list[str]:
    """Compare the cells that were trained twice, with the same steps and seed in two precisions, a line each.

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
                notes.append(f"{subject}, {' less '.join(names)} with the same steps and seed: {_text(gap)}.")
    return notes


def _text(gap: Difference) -> str:
    interval = "" if gap.low_db is None else f" (95 % interval of the images: {gap.low_db:+.2f} to {gap.high_db:+.2f})"
    return f"{gap.mean_db:+.2f} dB{interval}".replace("-", "\N{MINUS SIGN}")
