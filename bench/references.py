"""``python -m bench.references``: methods without training on the held-out images, tuned on the validation images."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli import EXIT_CODES, TASK, Study, data_options, run, scale_option, study_options

HELP = f"""Reconstruct held-out images without training: filtered backprojection (CT) and total variation.

Their settings (window and cut-off; weight) are tuned by PSNR over a grid, on ten validation images, the weight to a
quarter power of two. The record keeps every setting tried. Test images and noise are those of bench.accuracy. MRI's
zero-filled image is every network's starting image, so each accuracy record has its scores.

\b
Examples:
  python -m bench.references
  python -m bench.references --task ct --scale small --data LODOPAB

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--task", "tasks", type=TASK, multiple=True, help="Task; repeatable. Default: the paper's.")
@scale_option
@data_options
@study_options
def main(tasks: Sequence[str], scale: str, data: Sequence[str], data_root: Path | None, study: Study) -> int:
    """Run the reference methods from the command line."""
    from bench.baselines.cells import reference_cells, references_table
    from bench.cli.sources import check_sources, data_sources
    from bench.tasks import PAPER_TASKS
    from bench.tasks.scales import SCALES

    chosen, sources = tasks or PAPER_TASKS, data_sources(data, data_root)
    check_sources(chosen, sources, SCALES[scale], ("validation", "test"))
    cells = reference_cells(chosen, SCALES[scale], sources, device=study.place)
    if not cells:
        raise click.ClickException(f"no reference method for {', '.join(chosen)}: the operator is not linear")
    return study.answer(cells, references_table)


if __name__ == "__main__":
    run(main)
