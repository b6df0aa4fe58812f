"""The interface of image sources, and the rules that all of them share."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from bench.records.words import printable

Split = Literal["train", "validation", "test"]
Fit = Literal["resize", "whole", "centre"]
"""How images come to be handed out: resized, at their own size, or as the centre of that."""
Ref = TypeVar("Ref")


class DataError(ValueError):
    """A data folder or file cannot be used; the message is one line that names it."""

    @classmethod
    def about(cls, where: Path | str, problem: object) -> "DataError":
        """Say on one line what is wrong with a file or folder.

        Args:
            where: the file or folder.
            problem: text, or the exception that reading it raised.
        """
        return cls(f"{printable(str(where))}: {printable(' '.join(str(problem).split()))}")


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


@dataclass(frozen=True, kw_only=True)
class MeasuredImage(LabelledImage):
    """An image with what was measured of it: the data set's own measurements, where nothing is simulated.

    Attributes:
        measurements: as the data set's file has them, in the units of ``image``: a sinogram, (1, T, D) float32, or
            k-space, (H, W) complex64, whose size need not be the image's.
        file: name of the file they come from.
    """

    measurements: Tensor
    file: str


class ImageSplit(Dataset[LabelledImage], ABC, Generic[Ref]):
    """One split of a source; images are read on access.

    A reader passes the references of the images it selected and writes ``_read``. No file stays open
    between two reads, so a split can be used by any number of worker processes.

    Args:
        references: what ``_read`` needs to find each image, in order.
        image_shape: (H, W) in pixels of every image handed out; of what is cut out of them where ``fit`` is ``whole``.
        fit: ``resize`` brings images to that size, ``whole`` leaves them as they are, ``centre`` cuts out their centre.
    """

    def __init__(self, references: Sequence[Ref], image_shape: tuple[int, int], fit: Fit = "resize") -> None:
        if min(image_shape) < 1:
            raise ValueError(f"image_shape must be positive, got {image_shape}")
        self.references = references
        self.image_shape = image_shape
        self.fit = fit

    @abstractmethod
    def _read(self, reference: Ref) -> LabelledImage:
        """Read one image, fitted to ``image_shape``."""

    def __len__(self) -> int:
        return len(self.references)

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one image.

        Args:
            index: position within the selection; negative ones count from the end.

        Raises:
            IndexError: if the selection has no such position.
            DataError: if the file that holds the image is missing, broken or holds no finite numbers.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told of below
            item = self._read(self.references[index])
        if not np.isfinite(item.image.numpy()).all():
            raise DataError.about(item.name, "holds values that are not finite numbers")
        return item


def spread(total: int, count: int, seed: int) -> list[int]:
    """Choose images evenly over a source, so that every patient or volume has its share.

    Args:
        total: how many images the source has.
        count: number of images; a source with fewer returns all.
        seed: moves the whole selection by a part of its stride.

    Returns:
        ``min(count, total)`` increasing positions below ``total``.

    Raises:
        ValueError: if ``count`` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    if count >= total:
        return list(range(total))
    offset = np.random.default_rng(seed).random()
    return [int((position + offset) * total / count) for position in range(count)]


def fit_of(split: Split, native: bool) -> Fit:
    """Return how images of a split are fitted: native ones stay whole for training, which cuts windows out of them."""
    if not native:
        return "resize"
    return "whole" if split == "train" else "centre"


def source_label(source: Path | None) -> str:
    """Name a source in records and tables without telling where the machine keeps it.

    Args:
        source: the data folder, or ``None`` for images generated on the fly.

    Returns:
        ``"generated"``, or the last two components of the folder's absolute path: ``"photos/produce"``.
    """
    if source is None:
        return "generated"
    absolute = Path(os.path.abspath(source.expanduser()))  # not resolve(): a link keeps the name it was given
    return "/".join(absolute.relative_to(absolute.anchor).parts[-2:])
