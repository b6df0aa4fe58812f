"""Where a task's images come from: drawn ones, or a folder's."""

from pathlib import Path
from typing import Any, Protocol

from bench.data.base import ImageSplit, Split
from bench.data.synthetic.images import GeneratedSplit
from bench.tasks.base import OpenSplit


class OpenFolder(Protocol):
    """How images are found in a published layout."""

    def __call__(
        self, source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool
    ) -> ImageSplit[Any]:
        """Open one split of a folder; arguments and errors as in ``OpenSplit``."""
        ...


def generated_or(kind: str, open_folder: OpenFolder) -> OpenSplit:
    """Return what opens generated images where no folder is named, a folder's where one is.

    Args:
        kind: of generated image, key of ``bench.data.synthetic.images.KINDS``.
        open_folder: reads the real layout.
    """

    def open_split(
        source: Path | None, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool = False
    ) -> ImageSplit[Any]:
        if source is None:
            return GeneratedSplit(kind, split, image_shape=image_shape, count=count, seed=seed)
        return open_folder(source, split, image_shape=image_shape, count=count, seed=seed, native=native)

    return open_split
