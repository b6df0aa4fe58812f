"""Import of a user's own ``package.module:Model``, and its error messages."""

import difflib
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench.cli.parameters import short
from models import MODELS, Policy, ReconstructionModel

_LONGEST = 300
"""Most characters of an exception that are shown; some hold a whole table."""


_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""``package.module:name``, as Python writes them."""


def resolve_model(name: str) -> Callable[..., ReconstructionModel]:
    """Return a model's class or factory: an entry of ``MODELS``, or ``package.module:Model`` imported.

    Raises:
        click.ClickException: if a user's own model cannot be imported, or is none.
    """
    if name in MODELS:
        return MODELS[name]
    made = import_named(name, "model")
    if not callable(made) or (isinstance(made, type) and not issubclass(made, ReconstructionModel)):
        near = models_told(name)
        raise click.ClickException(f"{short(name)} is no models.ReconstructionModel: {type(made).__name__}{near}")
    return made  # what a function makes shows when it is called


def import_named(name: str, kind: str) -> Any:
    """Import ``package.module:name``, from the working folder too.

    Args:
        name: see there.
        kind: what it names, for the message.

    Raises:
        click.ClickException: if it cannot be had; one line, with the nearest name.
    """
    if not _NAME.fullmatch(name):
        raise click.ClickException(f"{short(name)} names no {kind}: write package.module:Name{_as_module(name)}")
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise click.ClickException(f"cannot import {kind} {short(name)}: {why_absent(name, error)}") from error
    finally:
        sys.path.pop(0)


def build_model(name: str, channels: int, policy: Policy = "paper") -> ReconstructionModel:
    """Make a model, on the CPU, with a memory policy; a user's own need not know the policy when it is made.

    Args:
        name: key of ``MODELS`` or ``package.module:Model``.
        channels: image channels C.
        policy: what it keeps for the backward pass.

    Raises:
        click.ClickException: as of ``resolve_model``.
    """
    model = resolve_model(name)(channels=channels)
    model.policy = policy
    return model


def why_absent(name: str, error: BaseException) -> str:
    """Say in one line why ``package.module:Model`` cannot be imported, with the nearest known name.

    Args:
        name: what was asked for.
        error: what importing it raised.
    """
    path, _, attribute = name.partition(":")
    module = sys.modules.get(path)
    if isinstance(error, AttributeError) and module is not None and not hasattr(module, attribute):
        near = _nearest(attribute, [key for key, value in vars(module).items() if callable(value) and key[0] != "_"])
        return f"{path} has no {attribute!r}" + (near or models_told(name))
    if isinstance(error, ModuleNotFoundError) and path.startswith(error.name or "\n"):
        above, _, last = str(error.name).rpartition(".")
        folders = list(getattr(sys.modules.get(above), "__path__", [])) if above else [str(Path.cwd())]
        return told(error) + _nearest(last, [found.name for found in pkgutil.iter_modules(folders)])
    return told(error)


def models_told(name: str) -> str:
    """Name the models that the imported module of ``package.module:name`` defines or imports; empty without any."""
    held = vars(sys.modules[name.partition(":")[0]])
    classes = {key: value for key, value in held.items() if isinstance(value, type) and key[0] != "_"}
    choices = [
        key
        for key, value in classes.items()
        if issubclass(value, ReconstructionModel) and value is not ReconstructionModel
    ]
    return f"; models there: {', '.join(choices)}" if choices else ""


def _as_module(name: str) -> str:
    """Say how a path of a file, or a name without its second part, is written as a module."""
    path, _, attribute = name.partition(":")
    module = ".".join(part for part in path.removesuffix(".py").split("/") if part.strip("."))
    told = f"{module}:{attribute or 'Name'}"
    return f", such as {told}" if _NAME.fullmatch(told) else ""


def _nearest(name: str, known: list[str]) -> str:
    by_lower = {key.lower(): key for key in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def told(error: BaseException) -> str:
    """Return an exception's type and text in one line."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__
