"""``python -m bench.queue``: train the cells of Table 2 one by one, most important first; resumes at any step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import EXIT_CODES, Name, Study, data_options, run, scale_option, selection_options, study_options_here
from bench.cli.parameters import CELLS
from bench.training.options import starts

if TYPE_CHECKING:
    from bench.records import Start

HELP = f"""Train the cells of Table 2 one after another, and keep their weights.

Order: final loss with the first seed, task by task; the same for CT from the other starting image; auxiliary loss; the
second seed of the final loss, LU-DnCNN and LUSER-DW first. Cells finished on any machine are skipped. The command may
be stopped or killed at any time; given again, it resumes at its last checkpoint. Several commands may share a queue,
one per core or GPU: each takes the first cell that no other command holds. A finished cell leaves its record, weights
and example in the results folder.

\b
Examples:
  python -m bench.queue --scale full --data-root DATA
  python -m bench.queue --scale full --data-root DATA --list
  python -m bench.queue --scale full --task ct --data ct=LODOPAB --cells 1

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@scale_option
@data_options
@click.option("--example", "examples", metavar="[TASK=]PATTERN", multiple=True, help="As of bench.accuracy.")
@click.option(
    "--start",
    type=Name("start", starts),
    default="fbp",
    show_default=True,
    help="Starting image for CT: filtered backprojection, from which networks learn within an hour, or A^T y, as in "
    "the paper. Final loss with the first seed is also trained from the other one.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the progress of every cell; train nothing.")
@click.option("--cells", "limit", type=CELLS, help="Cells to train before stopping. Default: all.")
@study_options_here
def main(
    tasks: Sequence[str],
    models: Sequence[str],
    scale: str,
    data: Sequence[str],
    data_root: Path | None,
    examples: Sequence[str],
    start: "Start",
    only_list: bool,
    limit: int | None,
    study: Study,
) -> int:
    """Run the queue from the command line."""
    from bench.cli.sources import by_task, check_examples, check_sources, data_sources
    from bench.tasks import PAPER_TASKS
    from bench.tasks.scales import SCALES, precision_of
    from bench.training.queue import SPLITS, queue_table, queued_cells, work_off
    from bench.training.sweep import TrainingSetup
    from models import MODELS

    training = TrainingSetup(
        scale=SCALES[scale],
        sources=data_sources(data, data_root),
        store=study.store,
        device=study.place,
        precision=precision_of(SCALES[scale], study.place),
        start=start,
        keep_weights=True,
        examples=by_task(examples),
    )
    chosen = tasks or PAPER_TASKS
    check_sources(chosen, training.sources, training.scale, SPLITS)
    check_examples(chosen, training.sources, training.scale, training.examples)
    cells = queued_cells(training, chosen, models or tuple(MODELS))
    if only_list:
        study.show(queue_table(cells, training.store))
        return 0
    return study.code(work_off(cells, training.store, limit, study.running))


if __name__ == "__main__":
    run(main)
