"""``python -m tests.benchmarks.speed``: our code's speed beside what is possible, and beside TorchDEQ."""

from collections.abc import Iterable, Sequence

import click

from bench.cli import EXIT_CODES, Name, Study, run, study_options_here
from bench.cli.parameters import REPEATS

HELP = f"""Time operators, a training step and a solver on the CPU, each in turn with what it is compared with.

A transform is compared with PyTorch's own, a blur with a copy, a Radon transform with reading its matrix, a training
step with its convolutions, Anderson's own time with TorchDEQ's (pip install .[peers]). The report shows the records.

\b
Examples:
  python -m tests.benchmarks.speed
  python -m tests.benchmarks.speed --work fourier-forward-8 --repeats 101

{EXIT_CODES}
"""


def _names() -> Iterable[str]:
    from bench.comparison.speed_pairs import WORK

    return WORK


@click.command(help=HELP)
@click.option("--work", "names", type=Name("work", _names), multiple=True, help="Repeatable. Default: all.")
@click.option("--repeats", type=REPEATS, default=31, show_default=True, help="Measurements of each.")
@study_options_here
def main(names: Sequence[str], repeats: int, study: Study) -> int:
    """Time from the command line."""
    from bench.comparison.speed_cells import speed_cells, speed_table

    if study.place.type != "cpu":
        raise click.ClickException("these comparisons are of the CPU: --device cpu")
    return study.answer(speed_cells(names, repeats=repeats), speed_table)


if __name__ == "__main__":
    run(main)
