"""Cells without torch, for sweeps that start quickly."""

import time
from functools import partial

import click

from bench.cli import run
from bench.records import CallsSpec, CallsValues, Status
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell
from bench.runner.run import run_cells
from bench.runner.running import Running
from tests.records import make_provenance


def count(number, seconds, reporter):
    reporter.detail("counting")
    time.sleep(seconds)
    return Outcome(Status.OK, CallsValues(training_step={"forward": float(number)}, reconstruction={}))


def plain_cells(total, seconds, group=3):
    """Return cells, of which some share a process."""
    specs = [
        CallsSpec(task="t", model=f"m{number}", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
        for number in range(total)
    ]
    return [
        StudyCell(
            spec,
            make_provenance(),
            partial(count, number, seconds),
            "variant",
            apart=True,
            group=number // group if number % 2 else None,
        )
        for number, spec in enumerate(specs)
    ]


def sweep(folder, total, seconds=0.05, jobs=2):
    """Run a sweep of plain cells, as a command does."""

    @click.command()
    def main():
        run_cells(plain_cells(total, seconds), ResultStore(folder), Running(jobs=jobs))

    run(main)
