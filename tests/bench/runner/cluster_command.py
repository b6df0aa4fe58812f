"""A measuring command for tests: cells of a group answer at once, others take steps until a file tells them to stop."""

import time
from functools import partial
from pathlib import Path

import click

from bench.cli import run, study_options
from bench.records import CallsSpec, CallsValues, Status
from bench.records.environment import provenance
from bench.runner.cell import Outcome, StudyCell

STEP_S = 0.2


def take_steps(path, waits, reporter):
    before = path.read_text().count("step") if path.exists() else 0
    with path.open("a") as file:
        file.write("begin\n")
    while waits and not path.with_suffix(".go").exists():
        with path.open("a") as file:
            file.write("step\n")
        reporter.detail("another step")
        time.sleep(STEP_S)
    return Outcome(Status.OK, CallsValues(training_step={"resumed at": float(before)}, reconstruction={}))


@click.command()
@click.option("--cell", "names", multiple=True, metavar="NAME[:GROUP]")
@click.option("--progress", type=click.Path(path_type=Path))
@study_options
def main(names, progress, study):
    where = provenance(study.place)
    cells = []
    for text in names:
        name, _, group = text.partition(":")
        spec = CallsSpec(task=name, model="m", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
        measure = partial(take_steps, progress / name, not group)
        cells.append(StudyCell(spec, where, measure, "variant", apart=True, group=group or None))
    return study.code(study.records(cells))


if __name__ == "__main__":
    run(main)
