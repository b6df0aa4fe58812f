"""The images of a training step: a function of seed and step alone, so that a run can resume anywhere."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bench.data.base import ImageSplit, LabelledImage
from bench.records.recipe import Augmentation

CROP_MARGIN = 1.25
"""Factor by which images are read larger than wanted if they are cropped."""


Purpose = Literal["order", "views", "noise", "penalty"]


def random_numbers(seed: int, step: int, purpose: Purpose, rank: int = 0) -> torch.Generator:
    """Return the random numbers of one step, or of one epoch for the order, on the CPU.

    Args:
        seed: of the run.
        step: optimiser steps, or epochs, done before.
        purpose: what they are for.
        rank: which process of a parallel run they are for.
    """
    stream = np.random.SeedSequence([seed, step, get_args(Purpose).index(purpose), rank])
    return torch.Generator().manual_seed(int(stream.generate_state(1, np.uint64)[0]))


class BatchOrder:
    """Endless batches of positions: every image once per epoch, epochs reshuffled.

    Args:
        count: how many images there are.
        batch: positions per step, over all processes.
        seed: of the order.
        first_step: step of the first batch.
        rank: which process this is; each takes its part of a batch.
        processes: how many there are.

    Raises:
        ValueError: if the processes cannot share a batch evenly.
    """

    def __init__(
        self, count: int, batch: int, seed: int, first_step: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        if batch % processes:
            raise ValueError(f"{processes} processes cannot share a batch of {batch} evenly")
        self.count, self.batch, self.seed, self.first_step = count, batch, seed, first_step
        self.part = slice(rank * batch // processes, (rank + 1) * batch // processes)

    def __iter__(self) -> Iterator[list[int]]:
        step, epoch, order = self.first_step, -1, torch.empty(0)
        while True:
            chosen = []
            for place in range(step * self.batch, (step + 1) * self.batch):
                if place // self.count != epoch:
                    epoch = place // self.count
                    order = torch.randperm(self.count, generator=random_numbers(self.seed, epoch, "order"))
                chosen.append(int(order[place % self.count]))
            yield chosen[self.part]
            step += 1


def batches(images: ImageSplit[Any], order: BatchOrder, workers: int = 0) -> Iterator[list[Tensor]]:
    """Yield endless batches of images (C, H, W) as read, whose sizes may differ.

    Args:
        images: a split.
        order: which of them, step after step.
        workers: processes that read ahead; the batches are the same with any number.
    """
    return iter(DataLoader(images, batch_sampler=order, num_workers=workers, collate_fn=_images))


def reading_shape(image_shape: tuple[int, int], augmentation: Sequence[Augmentation]) -> tuple[int, int]:
    """Return the (H, W) at which to read training images that are wanted at ``image_shape``."""
    if "crop" not in augmentation:
        return image_shape
    return round(CROP_MARGIN * image_shape[0]), round(CROP_MARGIN * image_shape[1])


def augment(image: Tensor, augmentation: Sequence[Augmentation], generator: torch.Generator) -> Tensor:
    """Turn an image into another view of the same, pixel for pixel: nothing is interpolated.

    Args:
        image: (C, H, W) at ``reading_shape``.
        augmentation: ``flip`` mirrors left and right every other time, ``quarter-turn`` turns square images by a
            multiple of 90 degrees, others by one of 180; ``crop`` happens where windows are cut.
        generator: on the CPU.

    Returns:
        (C, H, W).
    """
    for kind in augmentation:
        if kind == "flip":
            image = image.flip(-1) if _below(2, generator) else image
        elif kind == "quarter-turn":
            square = image.shape[-2] == image.shape[-1]
            image = image.rot90(_below(4, generator) if square else 2 * _below(2, generator), (-2, -1))
    return image


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _images(items: list[LabelledImage]) -> list[Tensor]:
    return [item.image for item in items]
