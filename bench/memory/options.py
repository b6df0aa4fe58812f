"""Options that several memory commands share."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cli import ImageSize

if TYPE_CHECKING:
    from bench.records import Precision

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class MemoryQuestion:
    """What a sweep asks beside its tasks, models, policies and caps; see ``bench.records.question.MemorySpec``.

    Attributes:
        precisions: of the training step.
        image_shape: None takes each task's own.
        expandable_segments: the allocator's setting.
        calibration: whose constants a simulation uses.
        tf32: whether float32 convolutions and products may be computed in TensorFloat-32.
        channels_last: whether the network lies in memory with the channels of a pixel side by side.
    """

    precisions: "Sequence[Precision]" = ("fp32",)
    image_shape: tuple[int, int] | None = None
    expandable_segments: bool = False
    calibration: str | None = None
    tf32: bool = False
    channels_last: bool = False


TABLE3_QUESTION = MemoryQuestion()


image_size_option = click.option(
    "--image-size",
    "image_shape",
    type=ImageSize(),
    help="Image size in pixels: 256 or 218x178 (height x width). Default: the paper's, per task.",
)

_OPTIONS = (
    image_size_option,
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
)


def question_options(function: _F) -> _F:
    """Add the options that change a training step's memory, which the function receives as ``question``."""

    @functools.wraps(function)
    def with_question(*arguments: Any, **options: Any) -> Any:
        question = MemoryQuestion(**{field.name: options.pop(field.name) for field in fields(MemoryQuestion)})
        return function(*arguments, question=question, **options)

    decorated: Any = with_question
    for option in _OPTIONS:
        decorated = option(decorated)
    result: _F = decorated
    return result
