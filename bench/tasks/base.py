"""The interface of a task: operator, measurement, images and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.data.base import ImageSplit, LabelledImage, MeasuredImage, Split
from bench.tasks.windows import Shrunk, Windows
from models.base import Start
from operators.base import ForwardOperator

__all__ = ["LabelledImage", "MeasuredData", "Metric", "OpenSplit", "Split", "Task", "standard_normal"]


class OpenSplit(Protocol):
    """A function that opens a task's images."""

    def __call__(
        self,
        source: Path | None,
        split: Split,
        *,
        image_shape: tuple[int, int],
        count: int,
        seed: int,
        native: bool = False,
    ) -> ImageSplit[Any]:
        """Open one split of a source at one image size.

        Args:
            source: ``None`` for the generated images, or a folder in the real layout.
            split: which part of it.
            image_shape: (H, W) in pixels.
            count: how many images to use; a folder with fewer gives all it has, so ask for the length.
            seed: of the generated images, or of the selection.
            native: whether images keep their pixels: those of the training split are returned whole, whatever their
                size, and of the others the centre. Images smaller than ``image_shape`` are left out.

        Raises:
            DataError: if the folder cannot be used.
        """
        ...


class OpenMeasured(Protocol):
    """A function that opens images together with their measurements."""

    def __call__(self, source: Path, split: Split, *, count: int, seed: int) -> ImageSplit[Any]:
        """Open one split of ``MeasuredImage`` at the data set's own size; arguments and errors as in ``OpenSplit``."""
        ...


@dataclass(frozen=True, kw_only=True)
class MeasuredData:
    """The measurements of a task's data set, used on request in place of simulated ones.

    Attributes:
        load_split: opens a folder in the real layout.
        acquire: (one of its items, device) -> the operator of that item, and y, (1, *operator.data_shape). The
            operator's image may be larger than the item's: ``Task.display`` crops what was reconstructed.
    """

    load_split: OpenMeasured
    acquire: Callable[[MeasuredImage, torch.device], tuple[ForwardOperator, Tensor]]


Metric = Callable[[Tensor, Tensor], float]
"""Grades one displayed reconstruction against the displayed truth, both (C, H, W) in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One inverse problem of the study.

    Attributes:
        name: key in ``TASKS``.
        title: its name in tables.
        channels: image channels C.
        image_shape: the paper's (H, W) in pixels.
        operator_at: (image_shape, device) -> A at any image size, with the geometry scaled to it.
        measure: (operator, images (B, C, H, W), generator) -> measurements with the task's noise, without a
            graph; the generator is on the CPU, the measurements where the images are.
        data_set: folder of the paper's images under a data root.
        load_split: opens the generated default (``source=None``) or the real layout in a folder.
        display: (C, H, W) image -> (1 or 3, H, W) in [0, 1], for grades and figures (magnitude for MRI).
        metrics: name -> grade; ``psnr_db`` and ``ssim`` by the data set's usual convention, and the same by others.
        measured: the data set's own measurements; None where it has images alone.
        native_shape: (folder, wanted) -> the (H, W), at most ``wanted``, of the folder's native images;
            None where smaller images are left out instead.
        starts: which starting images a model can be given, see ``models.base.starting_image``.
        windows: (operator of whole images, window_shape) -> how training measures windows of them; None where a window
            can be measured as an image of its own.
    """

    name: str
    title: str
    channels: int
    image_shape: tuple[int, int]
    operator_at: Callable[[tuple[int, int], torch.device], ForwardOperator]
    measure: Callable[[ForwardOperator, Tensor, torch.Generator], Tensor]
    data_set: str
    load_split: OpenSplit
    display: Callable[[Tensor], Tensor]
    metrics: Mapping[str, Metric]
    measured: MeasuredData | None = None
    native_shape: Callable[[Path, tuple[int, int]], tuple[int, int]] | None = None
    starts: tuple[Start, ...] = ("adjoint",)
    windows: Callable[[Any, tuple[int, int]], Windows] | None = None

    def make_operator(self, device: torch.device | str = "cpu") -> ForwardOperator:
        """Build A at the paper's image size.

        Args:
            device: of its tables.
        """
        return self.operator_at(self.image_shape, torch.device(device))

    def shape_of(self, source: Path | None, wanted: tuple[int, int], native: bool) -> tuple[int, int]:
        """Return the (H, W) at which a source's images are used for a wanted shape."""
        if not native or source is None or self.native_shape is None:
            return wanted
        return self.native_shape(source, wanted)

    def windows_at(
        self,
        image_shape: tuple[int, int],
        window_shape: tuple[int, int],
        device: torch.device,
        *,
        shrunk: bool = False,
    ) -> Windows:
        """Return how a training step sees and measures windows of images.

        Args:
            image_shape: (H, W) of a whole image.
            window_shape: (h, w); whole images are measured as without windows.
            device: of the operator's tables.
            shrunk: whether whole images are shrunk to the window's size, instead of cropped.
        """
        if shrunk:
            return Shrunk(self.operator_at(window_shape, device), self.measure)
        if self.windows is None or window_shape == image_shape:
            return Windows(self.operator_at(window_shape, device), self.measure)
        return self.windows(self.operator_at(image_shape, device), window_shape)


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw white Gaussian noise of unit variance on the generator's device, then move it.

    Args:
        like: real; shape, dtype and device of the noise.
        generator: on the CPU for the same noise on every device.
    """
    noise = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device)
    return noise.to(like.device)
