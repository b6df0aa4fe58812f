"""Images generated on the fly: seeded, at any size, without a file or a network."""

from collections.abc import Callable

import numpy as np
import torch

from bench.data.base import ImageSplit, LabelledImage, Split
from bench.data.synthetic.canvas import Field
from bench.data.synthetic.chest import chest
from bench.data.synthetic.dead_leaves import dead_leaves
from bench.data.synthetic.mri_scan import scan

Generate = Callable[[np.random.Generator, tuple[int, int]], Field]

KINDS: dict[str, Generate] = {"leaves": dead_leaves, "chest": chest, "scan": scan}
"""Photographs, CT slices, complex MRI slices: (generator, (H, W)) -> (C, H, W) float32."""
STREAMS: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}


class GeneratedSplit(ImageSplit[int]):
    """Images drawn on access; every image is its own group.

    An image depends on (kind, seed, split, index, image_shape) and nothing else: not on ``count``, on the
    order of reading or on the process that reads.

    Args:
        kind: key in ``KINDS``.
        split: the splits draw from separate random streams, so they never share an image.
        image_shape: (H, W) in pixels.
        count: how many images the split has.
        seed: another seed is another data set; not negative.

    Raises:
        ValueError: for an unknown kind, a count that is not positive or a negative seed.
    """

    def __init__(self, kind: str, split: Split, *, image_shape: tuple[int, int], count: int, seed: int) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if count < 1 or seed < 0:
            raise ValueError(f"count must be positive and seed not negative, got {count} and {seed}")
        super().__init__(range(count), image_shape)
        self.kind, self.split, self.seed = kind, split, seed

    def _read(self, reference: int) -> LabelledImage:
        entropy = (self.seed, STREAMS[self.split], list(KINDS).index(self.kind), reference)
        image = KINDS[self.kind](np.random.default_rng(entropy), self.image_shape)
        name = f"{self.kind}-{self.split}-{reference:05d}"
        return LabelledImage(image=torch.from_numpy(image), name=name, group=name)
