"""``python -m bench.calls``: applications of the operator and its adjoint per step and per reconstruction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.cli import EXIT_CODES, Study, policy_option, run, selection_options, study_options

if TYPE_CHECKING:
    from bench.records import Policy

HELP = f"""Count forward and adjoint operator applications per training step and per reconstruction.

Counts do not depend on the image size, but deep-equilibrium models' counts depend on the weights. Every model is
therefore first trained for a few steps on small generated images. One application to a batch counts once.

\b
Examples:
  python -m bench.calls
  python -m bench.calls --task ct --policy recompute
  python -m bench.calls --task diffraction

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@policy_option
@study_options
def main(tasks: Sequence[str], models: Sequence[str], policies: "Sequence[Policy]", study: Study) -> int:
    """Run the counts from the command line."""
    from bench.costs.calls import call_cells, calls_table
    from bench.tasks import PAPER_TASKS
    from models import MODELS

    cells = call_cells(tasks or PAPER_TASKS, models or tuple(MODELS), policies, device=study.place)
    return study.answer(cells, calls_table)


if __name__ == "__main__":
    run(main)
