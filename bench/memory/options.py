"""Options that several memory commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bench.cli import ImageSize

_F = TypeVar("_F", bound=Callable[..., Any])


def step_options(function: _F) -> _F:
    """Add the options that change a training step's memory, beside task, model and policy."""
    for option in (
        click.option(
            "--calibration",
            metavar="NAME",
            help="Simulate with a GPU's measured constants, from bench/memory/calibration. Default: documented bounds.",
        ),
        click.option(
            "--expandable-segments",
            is_flag=True,
            help="Let the allocator's segments grow (PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True).",
        ),
        click.option(
            "--tf32",
            is_flag=True,
            help="Compute float32 convolutions and products in TensorFloat-32, as torch does by default.",
        ),
        click.option(
            "--channels-last",
            is_flag=True,
            help="Keep the channels of a pixel side by side in memory.",
        ),
        click.option(
            "--precision",
            "precisions",
            type=click.Choice(["fp32", "bf16"]),
            multiple=True,
            default=("fp32",),
            show_default=True,
            help="bf16 is autocast; repeatable.",
        ),
    ):
        function = option(function)
    return function


image_size_option = click.option(
    "--image-size",
    "image_shape",
    type=ImageSize(),
    help="Image size in pixels: 256 or 218x178 (height x width). Default: the paper's, per task.",
)
