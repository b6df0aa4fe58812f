"""``python -m bench.regression PART``: measures one part of the gates in a process of its own."""

from collections.abc import Callable
from pathlib import Path

import click
import torch
from pydantic import BaseModel

from bench.cli import run
from bench.costs.calls import count_calls
from bench.records.environment import keep_freed_memory, pick_device
from bench.records.files import write_atomically
from bench.regression.children import PARTS, FiguresAnswer
from bench.regression.figures import identities, measure_figures
from bench.regression.rounded import environment, measure_psnr, measure_trainings
from bench.training.published import load_model


@click.command(help="Measure one part of the regression gate, for bench.check, and write it to OUTPUT as JSON.")
@click.argument("part", type=click.Choice(PARTS))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of torch.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), help="Whose weights are graded.")
def main(part: str, output: Path, threads: int, results: Path) -> None:
    """Measure in this process."""
    torch.set_num_threads(threads)
    pick_device("cpu")
    keep_freed_memory()
    measure: dict[str, Callable[[], BaseModel]] = {
        "environment": environment,
        "figures": lambda: FiguresAnswer(figures=measure_figures(count_calls), identities=identities(results)),
        "trainings": measure_trainings,
        "psnr": lambda: measure_psnr(results / "weights", load_model),
    }
    write_atomically(output, measure[part]().model_dump_json().encode())


if __name__ == "__main__":
    run(main)
