"""cuDNN's workspace inside a convolution, by the flags that select the engine.

Sources: cuDNN 9.19, which torch 2.11 requires, asked for the workspace of the first engine in torch's order, for 3x3
convolutions of 32 and 64 channels at the paper's image sizes on an H100 and an A100; before version 9, the tiles of
non-fused Winograd (Lavin and Gray 2016). An engine that works in another memory format than the one that it is given
copies its image, its result and its weights there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.records import MIB

aten = torch.ops.aten


CONVOLUTIONS = frozenset({aten.convolution.default, aten.convolution_backward.default})


class Bounds(NamedTuple):
    """Least, likely and most bytes that one call takes beside its results."""

    low: int
    expected: int
    high: int


NOTHING = Bounds(0, 0, 0)


@dataclass(frozen=True)
class ConvolutionPart:
    """One call of cuDNN's: a convolution, or one of the two gradients of one.

    Attributes:
        images: what it is applied to, (B, C, H, W).
        weight: (channels out, channels in / groups, kernel).
        result: what it gave, (B, channels out, H, W); of a gradient, the incoming one.
        stride: of the kernel.
        groups: that channels are divided into.
        gradient: "" for the convolution itself, ``images`` or ``weight`` for the gradient with respect to it.
    """

    images: Tensor
    weight: Tensor
    result: Tensor
    stride: Sequence[int]
    groups: int
    gradient: str = ""

    @property
    def values(self) -> int:
        """How many numbers the image and the result have."""
        return self.images.numel() + self.result.numel()

    @property
    def channels_last(self) -> bool:
        """Whether images lie in memory channel by channel for every pixel."""
        return any(
            tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
            for tensor in (self.images, self.weight)
        )


Workspaces = Callable[[ConvolutionPart], Bounds]
"""Returns the workspace of one cuDNN call."""

SMALL = MIB
"""Most that an engine takes which copies nothing; 0.4 MiB were seen."""


class PerValue(NamedTuple):
    """Least, likely and most bytes per number of image and result."""

    low: float
    expected: float
    high: float


NO_COPY = PerValue(0, 0, 0)
HALF_COPIED = PerValue(2.0, 2.2, 2.2)
TF32_COPIED = PerValue(0, 4.0, 4.4)
"""All calls take 4.0 on an H100; on an A100 they take 0 to 4.4."""
TF32_CHANNELS_LAST = PerValue(0, 0, 4.4)
"""Nothing on an H100; on an A100 2.0, and 4.1 to 4.4 for the weight's gradient."""
COPIED_BACK = PerValue(4.0, 4.0, 4.0)
"""Without TF32 the engines want one channel after the other."""

WINOGRAD_BYTES = 4 * 36 // 16
"""Bytes per number: F(4x4, 3x3) keeps 36 float32 for every 16 numbers of an image."""


def pinned(part: ConvolutionPart) -> Bounds:
    """Return a workspace of cuDNN 9 without TF32 and without benchmarks, the setting of memory measurements."""
    return _workspace(part, COPIED_BACK if part.channels_last and part.gradient != "weight" else NO_COPY)


def with_tf32(part: ConvolutionPart) -> Bounds:
    """Return a workspace of cuDNN 9 with TF32, torch's default for convolutions."""
    return _workspace(part, TF32_CHANNELS_LAST if part.channels_last else TF32_COPIED)


def of_version_8(part: ConvolutionPart) -> Bounds:
    """Return a workspace of cuDNN 8 with TF32 on an A100: Winograd's tiles for 3x3 filters, else as version 9."""
    if depthwise(part):
        return NOTHING
    if tuple(part.weight.shape[2:]) == (3, 3) and max(part.stride) == 1:
        tiles = WINOGRAD_BYTES * part.values
        return Bounds(0, tiles, tiles)
    most = TF32_COPIED.high * part.values
    return Bounds(0, round(most / 2), round(most))


def _workspace(part: ConvolutionPart, full: PerValue) -> Bounds:
    if depthwise(part):
        return NOTHING
    if part.images.dtype in (torch.bfloat16, torch.float16):
        full = NO_COPY if part.channels_last else HALF_COPIED
    low, expected, high = (round(share * part.values) for share in full)
    return Bounds(low, expected, high + SMALL)


def depthwise(part: ConvolutionPart) -> bool:
    """Say whether every channel is filtered by itself, which torch's own kernels do in float32."""
    return part.groups > 1 and part.weight.shape[1] == 1 and part.images.dtype == torch.float32


def parts_of(operation: Any, arguments: Sequence[Any], results: Any) -> Iterator[tuple[ConvolutionPart, list[Any]]]:
    """Yield the calls of cuDNN's behind one of torch's, in their order.

    Args:
        operation: ``aten.convolution.default`` or ``aten.convolution_backward.default``.
        arguments: its positional arguments.
        results: what it returned.

    Yields:
        The call, and arguments with which ``operation`` makes that call alone.
    """
    if operation is aten.convolution.default:
        images, weight, stride, groups = arguments[0], arguments[1], arguments[3], arguments[8]
        yield ConvolutionPart(images, weight, results, stride, groups), list(arguments)
        return
    gradient, images, weight, stride, groups = *arguments[:3], arguments[4], arguments[9]
    for place, name in enumerate(("images", "weight")):
        if arguments[10][place]:
            mask = [place == 0, place == 1, False]
            part = ConvolutionPart(images, weight, gradient, stride, groups, name)
            yield part, [*arguments[:10], mask, *arguments[11:]]
