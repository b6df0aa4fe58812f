"""Command-line options that change a recipe."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


JACOBIAN = "Penalty on the maps' Jacobian, for models with fixed points (2.5 in MDEQ's recipe). Default: the recipe's."
PRETRAIN = "Steps as a denoiser before, for models whose network can be one (deq4ip). Default: the recipe's."


def recipe_options(function: _F) -> _F:
    """Add the options whose names are fields of ``Recipe``."""
    positive, count = click.FloatRange(min=0, min_open=True), click.IntRange(min=1)
    for option in (
        click.option("--jacobian-weight", type=click.FloatRange(min=0), help=JACOBIAN),
        click.option("--pretrain-steps", type=click.IntRange(min=0), help=PRETRAIN),
        click.option("--minutes", type=positive, help="Train for so long, whatever the number of steps."),
        click.option("--batch", type=count, help="Images a step. Default: the recipe's."),
        click.option("--steps", type=count, help="Optimiser steps. Default: the recipe's."),
    ):
        function = option(function)
    return function


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a command was given: the changes of its recipes."""
    return {name: value for name, value in options.items() if value is not None}
