"""``python -m bench.all``: the whole study, from measurement to rendered tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import EXIT_CODES, Study, data_options, output_option, run, scale_option, study_options_here

if TYPE_CHECKING:
    from bench.records import Record
    from bench.runner.cell import StudyCell

HELP = f"""Measure everything for the paper's Tables 2-4 and Figure 2, then render them.

Cells already stored for this machine are skipped, so an interrupted run resumes.

\b
Examples:
  python -m bench.all
  python -m bench.all --scale small --data-root DATA

{EXIT_CODES}
"""


@click.command(help=HELP)
@scale_option
@data_options
@output_option
@study_options_here
def main(scale: str, data: Sequence[str], data_root: Path | None, output: Path, study: Study) -> int:
    """Run the whole study from the command line."""
    from bench.cli.sources import check_sources, data_sources
    from bench.report.render import render
    from bench.tasks import PAPER_TASKS
    from bench.tasks.scales import SCALES

    sources = data_sources(data, data_root)
    check_sources(PAPER_TASKS, sources, SCALES[scale], ("train", "validation", "test"))
    stages = _stages(scale, sources, study)
    records: list[Record] = []
    for number, (name, cells) in enumerate(stages.items(), start=1):
        click.echo(f"part {number} of {len(stages)}: {name}", err=True)
        records += study.records(cells())
    if study.dry_run:
        return 0
    click.echo(f"{len(render(study.results, output))} files in {output}; start at {output / 'README.md'}")
    return study.code(records)


def _stages(scale: str, sources: dict[str, Path], study: Study) -> "dict[str, Callable[[], list[StudyCell]]]":
    """Return the parts of the study, each with what makes its cells.

    Memory is proved with bench.memory, which needs the GPU for itself; here it is simulated. It comes first: timing
    takes each model's own maximum batch from it.
    """
    from bench.baselines.cells import reference_cells
    from bench.costs.calls import call_cells
    from bench.costs.timing import TIMED_TASKS, timing_cells
    from bench.memory.cells import TABLE3_CAPS_BYTES, TABLE3_TASKS, memory_cells
    from bench.tasks import PAPER_TASKS
    from bench.tasks.scales import SCALES, precision_of
    from bench.training.cells import accuracy_cells
    from bench.training.sweep import TrainingSetup
    from models import MODELS, POLICIES

    models, chosen, store, place = tuple(MODELS), SCALES[scale], study.store, study.place
    precision = precision_of(chosen, place)
    training = TrainingSetup(scale=chosen, sources=sources, store=store, device=place, precision=precision)
    return {
        "memory": lambda: memory_cells(TABLE3_TASKS, models, POLICIES, TABLE3_CAPS_BYTES, None),
        "operator calls": lambda: call_cells(PAPER_TASKS, models, ("paper",), device=place),
        "time": lambda: timing_cells(TIMED_TASKS, models, chosen, store=store, device=place),
        "references": lambda: reference_cells(PAPER_TASKS, chosen, sources, device=place),
        "accuracy": lambda: accuracy_cells(training, PAPER_TASKS, models),
    }


if __name__ == "__main__":
    run(main)
