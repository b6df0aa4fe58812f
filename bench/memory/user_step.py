"""A user's own training step, ``package.module:make_step``: imported, traced and identified."""

from collections.abc import Callable

import click
import torch

from bench.cli.source_digest import digest_around
from bench.cli.user_model import import_named
from bench.memory.convolutions import Workspaces, pinned
from bench.memory.trace import MakeStep, Trace, TraceError, trace_step
from bench.records import Precision

WHAT = "make_step(batch) builds model, optimiser and data, and returns what runs one training step"


def resolve_step(name: str) -> MakeStep:
    """Import ``package.module:make_step``, from the working folder too.

    Raises:
        click.ClickException: if it cannot be had; one line, with the nearest name.
    """
    if not name.partition(":")[2]:
        raise click.ClickException(f"{name!r} is no package.module:make_step: {WHAT}")
    made: MakeStep = import_named(name, "step")
    if not callable(made):
        raise click.ClickException(f"{name!r} is a {type(made).__name__}, which cannot be called: {WHAT}")
    return made


def code_of_step(name: str) -> str:
    """Return a digest of the step's module and of what it imports of its own package; see ``code_of``.

    Raises:
        click.ClickException: if it cannot be imported, or has no source file.
    """
    resolve_step(name)
    return digest_around(name)


def trace_user_step(name: str, precision: Precision, workspaces: Workspaces = pinned) -> Trace:
    """Trace two training steps.

    Args:
        name: ``package.module:make_step``.
        precision: ``bf16`` runs them under autocast.
        workspaces: tells what cuDNN takes inside a convolution.

    Raises:
        TraceError: as of ``trace_step``; or if the step wants a GPU, or cannot be built or run.
    """
    make = resolve_step(name)

    def make_step(batch: int) -> Callable[[], object]:
        step = built(make, name, batch)
        return lambda: run_step(step, "cpu", precision)

    try:
        return trace_step(make_step, precision, workspaces)
    except TraceError:
        raise
    except Exception as error:  # a user's code may raise anything
        hint = ""
        if "cuda" in str(error).lower() and not torch.cuda.is_available():
            hint = "; name no device in it: tensors are made on torch's default device, which is the GPU where one is"
        told = " ".join(str(error).split())[:300]
        raise TraceError(f"{name} raises {type(error).__name__}: {told}{hint}") from error


def built(make: MakeStep, name: str, batch: int) -> Callable[[], object]:
    """Return what ``make`` makes for a batch size.

    Raises:
        TraceError: if it cannot be called.
    """
    step = make(batch)
    if not callable(step):
        raise TraceError(f"{name} made a {type(step).__name__}, which cannot be called: {WHAT}")
    return step


def run_step(step: Callable[[], object], device_type: str, precision: Precision) -> None:
    """Run a training step, under autocast for bf16."""
    with torch.autocast(device_type, torch.bfloat16, enabled=precision == "bf16"):
        step()
