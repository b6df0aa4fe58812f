"""Renders a results folder: tables as LaTeX, image and CSV, figures, and the page that shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from matplotlib import style
from matplotlib.figure import Figure

from bench.records.paper import Paper, load_paper
from bench.records.store import ResultStore
from bench.report.drawing.files import save_figure, save_text
from bench.report.drawing.latex import latex
from bench.report.drawing.layout import Table
from bench.report.drawing.style import STYLE
from bench.report.drawing.table_image import draw_table
from bench.report.figures.convergence import CAPTION as CONVERGENCE_CAPTION
from bench.report.figures.convergence import convergence_figure
from bench.report.figures.figure1 import gain_figure, training_figure
from bench.report.figures.figure2 import CAPTION as FIGURE2_CAPTION
from bench.report.figures.figure2 import examples, reconstruction_figure
from bench.report.figures.memory import memory_figure
from bench.report.figures.operators import operator_figure
from bench.report.figures.proof import CAPTION as PROOF_CAPTION
from bench.report.figures.proof import history_caption, proof_figure
from bench.report.figures.solvers import solver_figure
from bench.report.figures.speed import CAPTION as SPEED_CAPTION
from bench.report.figures.speed import speed_figure
from bench.report.page import Exhibit, credited, earlier_page, origin_caption, readme, study_caption
from bench.report.selection.accuracy import Study, studies
from bench.report.selection.records import AnyEntry, Records, load_records
from bench.report.tables.cells import cells_page
from bench.report.tables.claims import CAPTION as CLAIMS_CAPTION
from bench.report.tables.claims import claims_table
from bench.report.tables.memory_check import check_table
from bench.report.tables.memory_detail import disagreements, memory_detail_table
from bench.report.tables.memory_flags import flags_table
from bench.report.tables.operator_times import shown_operators, times_summary
from bench.report.tables.operators import operators_csv, operators_table
from bench.report.tables.proof import proof_table
from bench.report.tables.solvers import methods_table, rules_table, shown_races
from bench.report.tables.speed import shown_speed
from bench.report.tables.table2 import accuracy_csv, accuracy_table
from bench.report.tables.table3 import MemoryStudy, is_table3, memory_table
from bench.report.tables.table4 import comparison_table
from bench.report.tables.table4_entries import Comparison

BATCH_CAPTION = (
    "The largest batch (1, or even) whose full training step fits under a memory cap: forward pass, loss, "
    "backward pass and optimiser."
)
GAIN_CAPTION = (
    "PSNR gain of each network over its starting image, with 95 % bootstrap intervals over groups of images "
    "(patients, volumes, files). Filled: final loss; hollow: auxiliary loss. Runs: those of Table 2."
)
TRAINING_CAPTION = (
    "Training loss per step (faint) and its running mean over 1/40 of the training (solid), one line per seed. "
    "Runs: those of Table 2."
)
SOLVER_CAPTION = (
    "Solver steps per stage on held-out images, to the model's own tolerance (at most 12): mean over losses and "
    "seeds. The paper starts every stage at zero and expects fewer steps at later stages (Sec. 3). Warm start: each "
    "stage starts from the previous stage's fixed point. Runs: those of Table 2."
)
OPERATOR_CAPTION = (
    "Milliseconds per image in both directions (blue: ours; grey: other libraries). Dots: medians; bars: quartiles; "
    "numbers: time relative to ours. Calls are interleaved."
)


@dataclass
class _Report:
    """Files and exhibits to write, in the page's order."""

    files: dict[str, str | Figure] = field(default_factory=dict)
    exhibits: list[Exhibit] = field(default_factory=list)

    def add_table(
        self, heading: str, table: Table, caption: Sequence[str], more: Mapping[str, str] | None = None
    ) -> None:
        files: dict[str, str] = {f"{table.name}.tex": latex(table), **(more or {})}
        self.files |= files
        self._add(heading, table.name, draw_table(table), caption, tuple(files))

    def add_figure(self, heading: str, name: str, figure: Figure | None, caption: Sequence[str]) -> None:
        if figure is not None:
            self._add(heading, name, figure, caption, ())

    def _add(self, heading: str, name: str, figure: Figure, caption: Sequence[str], sources: tuple[str, ...]) -> None:
        self.files[f"{name}.png"] = figure
        self.exhibits.append(Exhibit(heading, f"{name}.png", tuple(caption), sources))


def render(results: Path, output: Path) -> list[Path]:
    """Render tables, figures and page; the same records give the same bytes.

    Args:
        results: the results folder.
        output: where the files go; it is made if it is absent.

    Returns:
        The written files.

    Raises:
        click.ClickException: if there are no records, or the output cannot be written.
    """
    store, paper = ResultStore(results), load_paper()
    try:
        records = load_records(store)
        if not records.all:
            old = f" of the current protocol ({records.outdated} of another)" if records.outdated else ""
            raise click.ClickException(f"no records{old} under {results}; run python -m bench.all first")
        with style.context(["default", STYLE]):
            report = _compose(records, store, paper)
            return _write(report, output)
    except OSError as error:
        raise click.ClickException(f"{error.filename or output}: {error.strerror or error}") from error


def _compose(records: Records, store: ResultStore, paper: Paper) -> _Report:
    report, groups = _Report(), studies(records.accuracy, records.references)
    headline = groups[0] if groups else None
    memory = MemoryStudy(tuple(entry for entry in records.memory if is_table3(entry)), paper)
    comparison = Comparison(records, headline, paper)
    if headline is not None:
        _add_study(report, headline, paper, store, "")
    report.add_table("Table 3", memory_table(memory), [origin_caption(records.memory)])
    report.add_table("Table 4", comparison_table(comparison), [origin_caption(_cost(records))])
    report.add_figure(
        "Largest batches", "memory", memory_figure(memory), [BATCH_CAPTION, origin_caption(records.memory)]
    )
    _add_proof(report, records, paper)
    detail = [entry for entry in records.memory if not entry.spec.expandable_segments]
    if detail:
        caption = [*disagreements(detail, paper), origin_caption(detail)]
        report.add_table("Memory per image", memory_detail_table(detail, paper, comparison.timing), caption)
    if headline is not None:
        report.add_figure("Gain over the starting image", "gain", gain_figure(headline, paper), [GAIN_CAPTION])
        report.add_figure("Training loss", "training", training_figure(headline, paper), [TRAINING_CAPTION])
        figure = convergence_figure(headline, paper)
        report.add_figure("Convergence of training", "convergence", figure, [CONVERGENCE_CAPTION])
        report.add_figure("Solver steps per stage", "stages", solver_figure(headline, paper), [SOLVER_CAPTION])
    races = shown_races(records.solvers)
    if races:
        report.add_table("Fixed-point methods", methods_table(races), [origin_caption(races)])
        report.add_table("Gradient rules", rules_table(races), [origin_caption(races)])
    _add_operators(report, records)
    for study in groups[1:]:
        _add_study(report, study, paper, store, f"-{study.group.name}")
    if headline is not None:
        report.files["cells.md"] = cells_page(headline, paper)
    if records.earlier.accuracy:
        report.files["earlier.md"] = _earlier_page(report, records, store, paper)
    report.files["README.md"] = readme(report.exhibits, records, groups, paper)
    return report


def _earlier_page(report: _Report, records: Records, store: ResultStore, paper: Paper) -> str:
    """Add the previous protocol's tables, which are not on the front page; return the page that shows them."""
    earlier, apart = records.earlier, _Report()
    for study in studies(earlier.accuracy, earlier.references):
        name = f"earlier-{study.group.name}"
        table, more = accuracy_table(study, paper, name), {f"{name}.csv": accuracy_csv(study, paper)}
        caption = study_caption(study, paper, store.credits())
        apart.add_table(f"Table 2, {study.group.title}", table, caption, more)
    report.files |= apart.files
    return earlier_page(apart.exhibits, earlier.protocol)


def _add_study(report: _Report, study: Study, paper: Paper, store: ResultStore, ending: str) -> None:
    name, caption = f"table2{ending}", study_caption(study, paper, store.credits())
    of = f", {study.group.title}" if ending else ""
    table = accuracy_table(study, paper, name)
    report.add_table(f"Table 2{of}", table, caption, {f"{name}.csv": accuracy_csv(study, paper)})
    claimed = claims_table(study, paper, f"claims{ending}")
    if claimed is not None:
        report.add_table(f"The paper's claims{of}", claimed, [CLAIMS_CAPTION])
    rows = examples(study, paper, store)
    figure = reconstruction_figure(rows, paper, credited(study, store.credits())) if rows else None
    report.add_figure(f"Figure 2{of}", f"figure2{ending}", figure, (FIGURE2_CAPTION, *caption))


def _add_proof(report: _Report, records: Records, paper: Paper) -> None:
    lines = (PROOF_CAPTION, history_caption(records.proofs), origin_caption(records.proofs))
    report.add_figure(
        "Predicted memory versus real GPUs", "proof", proof_figure(records.proofs), [*filter(None, lines)]
    )
    table = proof_table(records.proofs)
    if table is not None:
        report.add_table("Prediction errors on real GPUs", table, [origin_caption(records.proofs)])
    flags = flags_table(records.memory_flags, paper)
    if flags is not None:
        report.add_table("Largest batches by flags", flags, [origin_caption(records.memory_flags)])
    checks = check_table(records.checks, paper)
    if checks is not None:
        report.add_table("Simulated memory versus real CPU steps", checks, [origin_caption(records.checks)])


def _add_operators(report: _Report, records: Records) -> None:
    shown = shown_operators(records.operators)
    if shown:
        origin = origin_caption([times.entry for times in shown])
        caption = (OPERATOR_CAPTION, *map(times_summary, shown), origin)
        report.add_figure("Operators", "operators", operator_figure(shown), caption)
        more = {"operators-table.csv": operators_csv(shown)}
        report.add_table("Operator times", operators_table(shown), [origin], more)
    speed = shown_speed(records.speed)
    if speed:
        caption = (SPEED_CAPTION, origin_caption([entry.entry for entry in speed]))
        report.add_figure("Speed beside what is possible", "speed", speed_figure(speed), caption)


def _cost(records: Records) -> list[AnyEntry]:
    return [*records.timing, *records.calls, *records.memory]


def _write(report: _Report, output: Path) -> list[Path]:
    output.mkdir(parents=True, exist_ok=True)
    for name, content in report.files.items():
        if isinstance(content, str):
            save_text(output / name, content)
        else:
            save_figure(output / name, content)
    return [output / name for name in report.files]
