"""Builds a user's own model once, before anything is measured."""

import click
import torch

from bench.cli.source_digest import source_of
from bench.cli.user_model import models_told, resolve_model, told
from bench.tasks import TASKS
from models import ReconstructionModel


def check_model(name: str) -> None:
    """Build a user's own model, with the channels of one task after another until one succeeds.

    Args:
        name: ``package.module:Model``.

    Raises:
        click.ClickException: if it cannot be imported, has no source file, cannot be called, or makes something else
            than a ``ReconstructionModel``; one line with the nearest choice where there is one.
    """
    make = resolve_model(name)
    source_of(name)
    failures = []
    for channels in sorted({task.channels for task in TASKS.values()}):
        try:
            with torch.random.fork_rng(devices=[]):  # what is measured draws the same numbers as without this
                built = make(channels=channels)
        except (Exception, SystemExit) as error:
            failures.append(f"called with channels={channels}, {name!r} raises {told(error)}")
            continue
        if not isinstance(built, ReconstructionModel):
            made = "None" if built is None else f"a {type(built).__name__}"
            raise click.ClickException(
                f"{name!r} made {made}, which is no models.ReconstructionModel{models_told(name)}"
            )
        return
    raise click.ClickException(failures[0])
