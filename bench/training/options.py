"""Command-line options of a training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from bench.cli.parameters import BATCH, MINUTES, SECONDS, SEED, STEPS, WEIGHT, WORKERS, Name

CHECKPOINT_S = 30.0
_F = TypeVar("_F", bound=Callable[..., Any])

_RECIPE = (
    ("--steps", STEPS, "Optimiser steps."),
    ("--batch", BATCH, "Images per step, over all processes."),
    ("--minutes", MINUTES, "Training time, in place of a number of steps."),
    ("--pretrain-steps", click.IntRange(0, 100_000_000), "Steps of denoiser pretraining, for models that support it."),
    ("--jacobian-weight", WEIGHT, "Penalty on the maps' Jacobian, for models with fixed points."),
)


def starts() -> tuple[str, ...]:
    """Return the names of the images that models may start from."""
    from bench.records import Start

    return get_args(Start)


def _precisions() -> tuple[str, ...]:
    from bench.records import Precision

    return get_args(Precision)


start_option = click.option(
    "--start",
    type=Name("start", starts),
    default="adjoint",
    show_default=True,
    help="Starting image for CT: A^T y, as in the paper, or filtered backprojection.",
)


def recipe_options(function: _F) -> _F:
    """Add the options whose names are fields of ``Recipe``."""
    for name, kind, text in reversed(_RECIPE):
        function = click.option(name, type=kind, help=f"{text} Default: the recipe's.")(function)
    return function


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a command was given: the changes of its recipes."""
    return {name: value for name, value in options.items() if value is not None}


_TRAINING = (
    click.option(
        "--tensorboard",
        type=click.Path(path_type=Path),
        help="Folder to log losses and scores to (pip install '.[tensorboard]').",
    ),
    click.option(
        "--example",
        "examples",
        metavar="[TASK=]PATTERN",
        multiple=True,
        help="Name of the held-out image that Figure 2 shows, such as 'deblur=produce/*'; repeatable. Default: the "
        "first image.",
    ),
    click.option(
        "--keep-weights",
        is_flag=True,
        help="Store the trained weights in results/weights. A cell finished without them is trained again only "
        "with --force; a line says so.",
    ),
    click.option(
        "--checkpoint-seconds",
        "checkpoint_s",
        type=SECONDS,
        default=CHECKPOINT_S,
        show_default=True,
        help="Seconds between checkpoints, from which an interrupted training resumes.",
    ),
    click.option(
        "--workers",
        type=WORKERS,
        default=0,
        show_default=True,
        help="Processes that prefetch images.",
    ),
    click.option(
        "--seed",
        "seeds",
        type=SEED,
        multiple=True,
        default=(0,),
        show_default=True,
        help="Seed of initial weights, image order, augmentation and noise; repeatable.",
    ),
    start_option,
    click.option(
        "--precision",
        type=Name("precision", _precisions),
        help="bf16 runs the networks under autocast; weights, operators and solvers stay in float32. Default: "
        "bf16 at the scale full on GPUs and on processors with AMX, else fp32.",
    ),
)


def training_options(function: _F) -> _F:
    """Add the options of a training's run and outputs."""
    for option in _TRAINING:
        function = option(function)
    return function
