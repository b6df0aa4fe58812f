"""Training windows: random crops of whole images, and their measurement."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.data.resample import resize
from operators.base import ForwardOperator

Measure = Callable[[ForwardOperator, Tensor, torch.Generator], Tensor]


class Windows:
    """Windows that are measured as if each were an image of its own.

    That is right where a measurement sees a small part of the image, as a blur does, or the window shows what a smaller
    scan at the same resolution would show, as in MRI.

    Args:
        operator: A at the windows' size.
        measure: as in a ``Task``.
    """

    def __init__(self, operator: ForwardOperator, measure: Measure) -> None:
        self.operator = operator
        self._measure = measure

    def measure(
        self, images: Sequence[Tensor], places: torch.Generator, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cut a window out of every image, and measure it.

        Args:
            images: (C, H, W) each, at least as large as the windows; sizes may differ.
            places: draws the windows' places, on the CPU.
            noise: draws the noise, on the CPU.

        Returns:
            Windows (B, C, h, w) and measurements (B, *operator.data_shape).
        """
        truth = torch.stack([cut(image, self.shape, places) for image in images])
        return truth, self._measure(self.operator, truth, noise)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of a window in pixels."""
        height, width = self.operator.image_shape[-2:]
        return height, width


class Shrunk(Windows):
    """Whole images at a lower resolution, measured by a scan of the same field with fewer pixels.

    Where A sees the image as a whole, as a Radon transform does, a network learns from them what no part of an image
    shows, and for a fraction of the cost.
    """

    def measure(
        self, images: Sequence[Tensor], places: torch.Generator, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Shrink every image, and measure it; see ``Windows.measure``. No place is drawn."""
        small = [torch.from_numpy(resize(image.cpu().numpy(), self.shape)).to(image) for image in images]
        truth = torch.stack(small)
        return truth, self._measure(self.operator, truth, noise)


def cut(image: Tensor, shape: tuple[int, int], places: torch.Generator) -> Tensor:
    """Return a window of an image at a random place.

    Args:
        image: (C, H, W).
        shape: (h, w) of the window, at most (H, W).
        places: on the CPU.

    Raises:
        ValueError: if the image is smaller than the window.
    """
    top, left = place(image, shape, places)
    return image[..., top : top + shape[0], left : left + shape[1]]


def place(image: Tensor, shape: tuple[int, int], places: torch.Generator) -> tuple[int, int]:
    """Draw the first row and column of a window; arguments and errors as for ``cut``."""
    rooms = [side - wanted for side, wanted in zip(image.shape[-2:], shape, strict=True)]
    if min(rooms) < 0:
        raise ValueError(f"no window of {shape} in an image of {tuple(image.shape[-2:])}")
    top, left = (int(torch.randint(room + 1, (), generator=places)) for room in rooms)
    return top, left
