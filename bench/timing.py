"""``python -m bench.timing``: seconds per training step and per reconstruction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.cli import EXIT_CODES, Bytes, Study, policy_option, run, scale_option, selection_options, study_options
from bench.cli.parameters import BATCH, REPEATS

if TYPE_CHECKING:
    from bench.records import Policy

HELP = f"""Time a training step and a reconstruction of every model.

Each is timed at a common batch, and at the largest batch that trains under --cap at the paper's image size (simulated),
if any. Reported: the median over repeats, after one warm-up. Weights are the initial ones, with which LUSER's
fixed-point solves are short. Without --task: deblur, ct and mri4x.

\b
Examples:
  python -m bench.timing
  python -m bench.timing --task ct --scale paper --device cuda --batch 2
  python -m bench.timing --task diffraction --batch 1

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@policy_option
@scale_option
@click.option("--batch", type=BATCH, default=2, show_default=True, help="The common batch.")
@click.option(
    "--cap",
    type=Bytes(),
    default="8GB",
    show_default=True,
    help="Memory cap for each model's maximum batch.",
)
@click.option(
    "--repeats",
    type=REPEATS,
    default=3,
    show_default=True,
    help="Timed repeats after one warm-up; fewer if they take over five seconds in total.",
)
@study_options
def main(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: "Sequence[Policy]",
    scale: str,
    batch: int,
    cap: int,
    repeats: int,
    study: Study,
) -> int:
    """Run the timings from the command line."""
    from bench.costs.timing import TIMED_TASKS, timing_cells, timing_table
    from bench.tasks.scales import SCALES
    from models import MODELS

    cells = timing_cells(
        tasks or TIMED_TASKS,
        models or tuple(MODELS),
        SCALES[scale],
        store=study.store,
        device=study.place,
        batch=batch,
        cap_bytes=cap,
        repeats=repeats,
        policies=policies,
    )
    return study.answer(cells, timing_table)


if __name__ == "__main__":
    run(main)
