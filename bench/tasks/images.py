"""Sources of a task's images: generated ones, or a folder; and how images in [0, 1] are displayed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from bench.data.base import ImageSplit, Split
from bench.data.synthetic.images import GeneratedSplit


class OpenFolder(Protocol):
    """A function that opens images in a published layout."""

    def __call__(
        self, source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool
    ) -> ImageSplit[Any]:
        """Open one split of a folder; arguments and errors as in ``bench.tasks.base.OpenSplit``."""
        ...


@dataclass(frozen=True)
class GeneratedOr:
    """An ``OpenSplit`` of a folder's images, or without a folder of generated ones; it can be pickled.

    Attributes:
        kind: of generated image, key of ``bench.data.synthetic.images.KINDS``.
        open_folder: reads the published layout.
    """

    kind: str
    open_folder: OpenFolder

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
        """Open one split; arguments and errors as in ``OpenSplit``."""
        if source is None:
            return GeneratedSplit(self.kind, split, image_shape=image_shape, count=count, seed=seed)
        return self.open_folder(source, split, image_shape=image_shape, count=count, seed=seed, native=native)


def clipped(image: Tensor) -> Tensor:
    """Clip (C, H, W) to [0, 1], the range of photographs and of LoDoPaB-CT's ground truth."""
    return image.clamp(0, 1)
