"""What a task is: an operator, a way to measure, images to train on and a way to grade."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from operators.base import LinearOperator

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One ground-truth image.

    Attributes:
        image: (C, H, W) float32; [0, 1] for photographs and CT, real and imaginary part with a magnitude of
            at most 1 for MRI.
        name: what the image is called in its source, unique within a split.
        group: patient, volume or file: images of one group are not independent.
    """

    image: Tensor
    name: str
    group: str


class OpenSplit(Protocol):
    """Opens one split of a data source at a given image size."""

    def __call__(
        self, source: Path | None, split: Split, *, image_shape: tuple[int, int], count: int, seed: int
    ) -> "Dataset[LabelledImage]": ...


Metric = Callable[[Tensor, Tensor], float]
"""Grades one displayed reconstruction against the displayed truth, both (C, H, W) in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One inverse problem of the study.

    Attributes:
        name: key in ``TASKS``.
        title: how tables call it.
        channels: image channels C.
        image_shape: the paper's (H, W) in pixels.
        operator_at: (image_shape, device) -> A at any image size, with the geometry scaled to it.
        measure: (operator, images (B, C, H, W), generator) -> measurements with the task's noise.
        load_split: opens the generated default (``source=None``) or the real layout in a folder.
        display: (C, H, W) image -> (1 or 3, H, W) in [0, 1], what is graded and shown (magnitude for MRI).
        metrics: name -> grade; names end in their unit.
    """

    name: str
    title: str
    channels: int
    image_shape: tuple[int, int]
    operator_at: Callable[[tuple[int, int], torch.device], LinearOperator]
    measure: Callable[[LinearOperator, Tensor, torch.Generator], Tensor]
    load_split: OpenSplit
    display: Callable[[Tensor], Tensor]
    metrics: Mapping[str, Metric]

    def make_operator(self, device: torch.device | str = "cpu") -> LinearOperator:
        """Build A at the paper's image size.

        Args:
            device: where its tables live.
        """
        return self.operator_at(self.image_shape, torch.device(device))
