"""The scales of a study: image sizes and numbers of images."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.records import Precision
from bench.records.environment import bf16_on_amx
from bench.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One size of the study; the networks are the paper's at every scale.

    Attributes:
        name: key in ``SCALES``.
        image_shapes: task -> (H, W) in pixels; an absent task has the paper's.
        train_images: images of the training split in use.
        test_images: held-out images that are graded.
        lower_precision: whether networks train in bfloat16 where the machine is fast at it.
        native: whether real images keep their pixels; else they are resized.
        timed_shapes: task -> (H, W) for timings alone, which need large batches; absent tasks have those of training.
    """

    name: str
    image_shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    train_images: int
    test_images: int
    native: bool = False
    lower_precision: bool = False
    timed_shapes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def image_shape(self, task: str, source: Path | None = None) -> tuple[int, int]:
        """Return (H, W) in pixels of a task at this scale, with the images of a folder or generated ones.

        Raises:
            DataError: if native images are wanted, and the folder cannot be read.
        """
        wanted = self.image_shapes.get(task, TASKS[task].image_shape)
        return TASKS[task].shape_of(source, wanted, self.native)

    def timed_shape(self, task: str) -> tuple[int, int]:
        """Return (H, W) in pixels at which a task is timed at this scale."""
        return self.timed_shapes.get(task, self.image_shape(task))


def _square(size: int) -> dict[str, tuple[int, int]]:
    return {task: (size, size) for task in TASKS}


SCALES = {
    scale.name: scale
    for scale in (
        Scale(name="quick", image_shapes=_square(48), train_images=64, test_images=8, timed_shapes=_square(32)),
        Scale(name="small", image_shapes=_square(64), train_images=512, test_images=32),
        Scale(name="full", train_images=512, test_images=32, native=True, lower_precision=True),
        Scale(name="paper", train_images=40_000, test_images=4_000),
    )
}
"""``quick`` ends within minutes on two cores, ``small`` within hours; ``full`` has the paper's image sizes and takes up
to an hour of one core with AMX per cell, ``paper`` has its lengths of training too and needs a GPU.

``recipes.toml`` has each scale's lengths and rates of training.
"""


def precision_of(scale: Scale, device: torch.device) -> Precision:
    """Return the default precision in which networks train at a scale.

    Without AMX a processor is no faster in bfloat16 than in float32.
    """
    fast = device.type == "cuda" or bool(bf16_on_amx(device))
    return "bf16" if scale.lower_precision and fast else "fp32"
