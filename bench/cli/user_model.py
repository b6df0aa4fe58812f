"""A user's own ``package.module:Model``: made once before anything is measured, and what is told where that fails."""

import difflib
import pkgutil
import sys
from pathlib import Path

import click
import torch

from bench.cli import resolve_model
from bench.cli.source_digest import source_of
from bench.tasks import TASKS
from models import ReconstructionModel

_LONGEST = 300
"""Characters of an exception that are told; some hold a whole table."""


def check_model(name: str) -> None:
    """Make a user's own model, for the channels of one task after another until it can be made.

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
            failures.append(f"called with channels={channels}, {name!r} raises {_line(error)}")
            continue
        if not isinstance(built, ReconstructionModel):
            made = "None" if built is None else f"a {type(built).__name__}"
            choices = _choices(name)
            hint = f"; models there: {', '.join(choices)}" if choices else ""
            raise click.ClickException(f"{name!r} made {made}, which is no models.ReconstructionModel{hint}")
        return
    raise click.ClickException(failures[0])


def why_absent(name: str, error: BaseException) -> str:
    """Say in one line why ``package.module:Model`` cannot be had, with the nearest name that can.

    Args:
        name: what was asked for.
        error: what importing it raised.
    """
    path, _, attribute = name.partition(":")
    module = sys.modules.get(path)
    if isinstance(error, AttributeError) and module is not None and not hasattr(module, attribute):
        near = _nearest(attribute, [key for key, value in vars(module).items() if callable(value) and key[0] != "_"])
        models = ", ".join(_choices(name))
        return f"{path} has no {attribute!r}" + (near or (f"; models there: {models}" if models else ""))
    if isinstance(error, ModuleNotFoundError) and path.startswith(error.name or "\n"):
        above, _, last = str(error.name).rpartition(".")
        folders = list(getattr(sys.modules.get(above), "__path__", [])) if above else [str(Path.cwd())]
        return _line(error) + _nearest(last, [found.name for found in pkgutil.iter_modules(folders)])
    return _line(error)


def _choices(name: str) -> list[str]:
    """Return the models that a module defines or imports."""
    held = vars(sys.modules[name.partition(":")[0]])
    classes = {key: value for key, value in held.items() if isinstance(value, type) and key[0] != "_"}
    return [
        key
        for key, value in classes.items()
        if issubclass(value, ReconstructionModel) and value is not ReconstructionModel
    ]


def _nearest(name: str, known: list[str]) -> str:
    by_lower = {key.lower(): key for key in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def _line(error: BaseException) -> str:
    told = " ".join(str(error).split())
    shown = told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__
