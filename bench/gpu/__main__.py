"""``python -m bench.gpu``: all measurements that need a GPU, most important first, within some minutes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, data_options, run
from bench.cli.parameters import Number

if TYPE_CHECKING:
    from bench.gpu.budget import Budget
    from bench.gpu.driver import Ending
    from bench.gpu.site import Site

PRELOADED = ("bench.gpu.driver", "bench.gpu.preparation")

HELP = f"""Run all measurements that need a GPU, most important first, within --minutes.

Six parts: checks, calibration, Table 3 proved, an allocator's history, times, and cells of Table 2 on the images that
--data names. Each part writes an archive of less than 16 MiB to the folder, with its figures, log and records. Given
again, the same command skips parts that have a complete archive and resumes an interrupted part. The first five parts
are estimated at six minutes on an H100.

\b
Examples:
  python -m bench.gpu --plan
  python -m bench.gpu --minutes 8 --output gpu --data ct=LODOPAB --data deblur=PHOTOS
  python -m bench.gpu --minutes 8 --output /tmp/gpu --archives $OUT
  python -m bench.gpu --minutes 0 --output gpu --adopt
  python -m bench.gpu --rehearse --device cpu --output rehearsal

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--minutes", type=Number(0, 366 * 24 * 60), default=8, show_default=True, help="Time limit.")
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gpu"),
    show_default=True,
    help="Folder for the archives and everything else written.",
)
@click.option(
    "--archives",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that receives a copy of every archive, and nothing else.",
)
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:1, ...; cpu for a rehearsal.")
@data_options
@click.option("--plan", is_flag=True, help="Print the parts with estimated seconds; run nothing.")
@click.option("--rehearse", is_flag=True, help="Run the plan at tiny sizes on a CPU; nothing counts as measured.")
@click.option("--adopt", is_flag=True, help="Afterwards, copy the archives' contents into this checkout.")
def main(
    minutes: float,
    folder: Path,
    archives: Path | None,
    device: str,
    data: Sequence[str],
    data_root: Path | None,
    plan: bool,
    rehearse: bool,
    adopt: bool,
) -> int:
    """Run the plan from the command line."""
    from bench.cli.sources import data_sources
    from bench.gpu.archive import adopt as adopt_archives
    from bench.gpu.budget import Budget
    from bench.gpu.driver import Ending, plan_lines
    from bench.gpu.plan import PARTS
    from bench.gpu.site import Site

    budget = Budget(60 * minutes)
    sources = {task: source.absolute() for task, source in data_sources(data, data_root).items()}
    site = Site(folder.absolute(), "cpu" if rehearse else device, rehearse, sources, archives)
    for line in plan_lines(site, minutes):
        click.echo(line)
    if plan:
        return 0
    endings = _run(site, budget) if minutes else {}
    if adopt:
        click.echo(f"{len(adopt_archives(folder))} files copied into this checkout")
    complete = not minutes or (len(endings) == len(PARTS) and set(endings.values()) == {Ending.FINISHED})
    return 0 if complete else EXIT_FAILED_CELLS


def _run(site: "Site", budget: "Budget") -> "dict[str, Ending]":
    from bench.gpu.driver import forked_launch, run_parts, take_up
    from bench.gpu.preparation import Preparation
    from bench.gpu.proofs import forked_environment
    from bench.runner.forked import ForkServer
    from operators.disk_cache import FOLDER_VARIABLE

    _require_gpu(site)
    site.folder.mkdir(parents=True, exist_ok=True)
    take_up(site)
    # Whatever is forked has this environment; every trace has to be on disk for the parts to find it.
    os.environ[FOLDER_VARIABLE] = os.environ.get(FOLDER_VARIABLE) or str(site.folder / "cache")
    os.environ |= forked_environment()
    server = ForkServer(PRELOADED)
    preparation = Preparation(site, server)
    try:
        return run_parts(site, budget, forked_launch(site, server), ready=preparation.wait)
    finally:
        preparation.stop()


def _require_gpu(site: "Site") -> None:
    """Refuse an unusable device before anything is written, and warn about other processes on it."""
    from bench.memory.nvml import listed_processes
    from bench.records.environment import pick_device

    place = pick_device(site.device)
    if site.rehearse:
        return
    if place.type != "cuda":
        raise click.ClickException(f"--device {site.device} is no CUDA device; --rehearse runs the plan without one")
    if others := listed_processes(place):
        click.echo(f"{len(others)} other processes are on {place}: its measurements may be unreliable", err=True)


if __name__ == "__main__":
    run(main)
