"""The paper's claims about its Table 2, each with our verdict."""

from typing import Literal

from bench.evaluation.bootstrap import Difference, difference
from bench.records.paper import Claim, Paper
from bench.report.drawing.layout import MISSING, Cell, Row, Table
from bench.report.selection.accuracy import Study, scores_of

SIMILAR_DB = 0.5
"""Two models are similar if their mean PSNR differs by less; the paper names no margin."""

Verdict = Literal["reproduced", "not reproduced", "undecided"]
CAPTION = (
    "Test: PSNR difference per held-out image, averaged over seeds, with a 95 % interval from a paired bootstrap over "
    "groups of images (patients, volumes, files). 'Better': reproduced if the interval lies above 0, not reproduced if "
    f"below. 'Similar': reproduced if the interval lies within {SIMILAR_DB} dB of 0, not reproduced if outside. "
    "Otherwise, or if seeds disagree in sign, the claim is undecided. The interval excludes variation between seeds."
)


def claims_table(study: Study, paper: Paper, name: str) -> Table | None:
    """Lay out every claim with the paper's difference, ours and the verdict, one column per task.

    Args:
        study: the accuracy of one group of records.
        paper: the claims and the paper's values.
        name: file name without ending.

    Returns:
        None where no claim can be tested.
    """
    tasks = [task.key for task in paper.tasks]
    body = [row for claim in paper.claims for row in _rows(claim, study, paper, tasks)]
    if not any(key in study.cells for key in _keys(paper)):
        return None
    table = Table(
        name=name,
        title=f"The paper's claims about Table 2, PSNR differences in dB ({study.group.title}).",
        columns="ll" + "c" * len(tasks),
        header=(Row((Cell("Claim, place in the paper"), Cell(), *(Cell(paper.task_title(task)) for task in tasks))),),
        body=tuple(body),
        notes=("Brackets: 95 % interval. Empty: the paper makes no claim.",),
    )
    return table.with_legend()


def verdict(claim: Claim, gap: Difference, by_seed: list[float]) -> Verdict:
    """Return our verdict on a claim.

    Args:
        claim: what is said of the first and the second.
        gap: by how much the first is above the second.
        by_seed: the same, one figure for each seed that both were trained with.
    """
    if gap.low_db is None or gap.high_db is None:
        return "undecided"
    if claim.relation == "similar":
        if max(-gap.low_db, gap.high_db) < SIMILAR_DB:
            return "reproduced"
        return "not reproduced" if gap.low_db > SIMILAR_DB or gap.high_db < -SIMILAR_DB else "undecided"
    if len({seed_gap > 0 for seed_gap in by_seed}) > 1:
        return "undecided"
    return "reproduced" if gap.low_db > 0 else "not reproduced" if gap.high_db < 0 else "undecided"


def _rows(claim: Claim, study: Study, paper: Paper, tasks: list[str]) -> list[Row]:
    columns = [
        (Cell(_papers_gap(claim, paper, task)), *_our_cells(claim, study, task))
        if task in claim.tasks
        else (Cell(), Cell(), Cell())
        for task in tasks
    ]
    papers, ours, verdicts = zip(*columns, strict=True)
    return [
        Row((Cell(claim.text, bold=True), Cell("paper"), *papers), rule=True),
        Row((Cell(f"  {claim.place}"), Cell("ours"), *ours)),
        Row((Cell(), Cell(), *verdicts)),
    ]


def _our_cells(claim: Claim, study: Study, task: str) -> tuple[Cell, Cell]:
    first, second = (study.cells.get(_key(task, column), ()) for column in (claim.first, claim.second))
    gap = difference(scores_of(first), scores_of(second))
    if gap is None:
        return Cell(MISSING), Cell()
    by_seed = [
        one.mean_db
        for mine in first
        for other in second
        if mine.spec.seed == other.spec.seed and (one := difference(scores_of([mine]), scores_of([other])))
    ]
    text = _signed(gap.mean_db)
    if gap.low_db is not None and gap.high_db is not None:
        text += f" [{_signed(gap.low_db)}, {_signed(gap.high_db)}]"
    found = verdict(claim, gap, by_seed)
    return Cell(text), Cell(found, bold=found != "undecided")


def _papers_gap(claim: Claim, paper: Paper, task: str) -> str:
    first, second = (paper.accuracy(task, "psnr_db", *column.split("/")) for column in (claim.first, claim.second))
    return MISSING if first is None or second is None else _signed(first - second)


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _key(task: str, column: str) -> tuple[str, str, str]:
    model, _, loss = column.partition("/")
    return task, model, loss


def _keys(paper: Paper) -> list[tuple[str, str, str]]:
    return [_key(task, column) for c in paper.claims for task in c.tasks for column in (c.first, c.second)]
