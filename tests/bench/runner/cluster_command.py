"""A measuring command for tests: its cells take steps, keep them in a file, and resume there."""

import time
from functools import partial
from pathlib import Path

import click

from bench.cli import run, study_options
from bench.records import CallsSpec, CallsValues, Status
from bench.records.environment import provenance
from bench.runner.cell import Outcome, StudyCell

STEP_S = 0.2


def take_steps(path, number, reporter):
    before = path.read_text().count("step") if path.exists() else 0
    for step in range(before, number):
        with path.open("a") as file:
            file.write("step\n")
        reporter.detail(f"step {step}")
        time.sleep(STEP_S)
    return Outcome(Status.OK, CallsValues(training_step={"resumed at": float(before)}, reconstruction={}))


@click.command()
@click.option("--cell", "names", multiple=True, metavar="NAME:STEPS[:GROUP]")
@click.option("--progress", type=click.Path(path_type=Path))
@study_options
def main(names, progress, study):
    where = provenance(study.place)
    cells = []
    for text in names:
        name, number, *group = text.split(":")
        spec = CallsSpec(task=name, model="m", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
        measure = partial(take_steps, progress / name, int(number))
        cells.append(StudyCell(spec, where, measure, "variant", apart=True, group=group[0] if group else None))
    return study.code(study.records(cells))


if __name__ == "__main__":
    run(main)
