"""``python -m bench.all``: the whole study, from measurement to rendered tables."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bench.calls import call_cells
from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, common_options, output_option, run, scale_option
from bench.cli.sources import check_sources, data_options, data_sources
from bench.memory.cells import TABLE3_CAPS_BYTES, TABLE3_TASKS, memory_cells, simulate_ahead
from bench.records import Record
from bench.records.environment import keep_freed_memory, pick_device
from bench.records.runner import StudyCell, all_answered, run_cells
from bench.records.store import ResultStore
from bench.references import reference_cells
from bench.report.render import render
from bench.tasks import PAPER_TASKS
from bench.tasks.scales import SCALES, precision_of
from bench.timing import TIMED_TASKS, timing_cells
from bench.training.cells import accuracy_cells
from bench.training.processes import make_fabric
from bench.training.sweep import TrainingSetup
from models import MODELS, POLICIES

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
@common_options
def main(
    scale: str, data: Sequence[str], data_root: Path | None, output: Path, results: Path, force: bool, device: str
) -> int:
    """Run the whole study from the command line."""
    keep_freed_memory()
    store, place = ResultStore(results), pick_device(device)
    models, chosen = tuple(MODELS), SCALES[scale]
    sources = data_sources(data, data_root)
    check_sources(PAPER_TASKS, sources, chosen, ("train", "validation", "test"))
    precision = precision_of(chosen, place)
    training = TrainingSetup(scale=chosen, sources=sources, store=store, fabric=make_fabric(place), precision=precision)
    # Memory is proved with bench.memory, which needs the GPU for itself; here it is simulated. It comes first:
    # timing takes each model's own maximum batch from it.
    stages: dict[str, Callable[[], list[StudyCell]]] = {
        "memory": lambda: memory_cells(TABLE3_TASKS, models, POLICIES, TABLE3_CAPS_BYTES, None),
        "operator calls": lambda: call_cells(PAPER_TASKS, models, ("paper",), device=place),
        "time": lambda: timing_cells(TIMED_TASKS, models, chosen, store=store, device=place),
        "references": lambda: reference_cells(PAPER_TASKS, chosen, sources, device=place),
        "accuracy": lambda: accuracy_cells(training, PAPER_TASKS, models),
    }
    records: list[Record] = []
    for number, (name, cells) in enumerate(stages.items(), start=1):
        click.echo(f"part {number} of {len(stages)}: {name}", err=True)
        questions = simulate_ahead(cells(), store, force=force)
        records += run_cells(questions, store, force=force)
    click.echo(f"{len(render(results, output))} files in {output}; start at {output / 'README.md'}")
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


if __name__ == "__main__":
    run(main)
