"""Cases of ``bench.operators``: operators at the paper's sizes, scans of the Radon transform, images."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from operators import GaussianBlur, LinearOperator, Radon, SubsampledFourier

FULL_SHAPES = {"radon": (362, 362), "blur": (218, 178), "fourier": (320, 320)}
"""Operator -> image size in the paper."""

FULL_SIZE, FULL_DETECTORS = 362, 513
PAPER = "paper"
"""The scan of operators that have none."""


@dataclass(frozen=True)
class Scan:
    """Angles (k + shift) pi / T.

    Attributes:
        full_angles: T at 362 x 362.
        shift: 0 folds 8 ways by symmetry, 0.1 (LoDoPaB-CT's every fifth angle) 4 ways.
    """

    full_angles: int
    shift: float

    def angles(self, size: int) -> int:
        """Return T for images of this side, in proportion and a multiple of 4, as ``bench.tasks.ct`` has it."""
        return max(4, 4 * round(self.full_angles * size / FULL_SIZE / 4))


SCANS = {"kpi": Scan(200, 0.0), "lodopab": Scan(200, 0.1), "1000": Scan(1000, 0.0)}


def build_radon(
    scan: str,
    image_shape: tuple[int, int],
    *,
    backend: str = "auto",
    more_angles: int = 1,
    more_detectors: int = 1,
) -> Radon:
    """Build the Radon transform of a scan; line integrals are in pixels.

    Args:
        scan: key of ``SCANS``.
        image_shape: (H, W) in pixels; angles and detectors are in proportion to the longer side.
        backend: see ``Radon``.
        more_angles: factor on the number of angles.
        more_detectors: factor on the number of detectors, which always tile the image's diagonal.
    """
    size = max(image_shape)
    angles = more_angles * SCANS[scan].angles(size)
    detectors = more_detectors * (2 * round((FULL_DETECTORS * size / FULL_SIZE - 1) / 2) + 1)
    return Radon(
        image_shape,
        angles=(np.arange(angles) + SCANS[scan].shift) * (math.pi / angles),
        num_detectors=detectors,
        backend=backend,
    )


def build(operator: str, scan: str, image_shape: tuple[int, int]) -> LinearOperator:
    """Build one of the measured operators on the CPU.

    Args:
        operator: key of ``FULL_SHAPES``.
        scan: key of ``SCANS`` for ``radon``, else ``PAPER``.
        image_shape: (H, W) in pixels.
    """
    if operator == "radon":
        return build_radon(scan, image_shape)
    return GaussianBlur(image_shape) if operator == "blur" else SubsampledFourier(image_shape)


def phantom(operator: LinearOperator, batch: int) -> Tensor:
    """Return smooth images without symmetry: two spots, the second weaker from image to image.

    Interpolations agree on smooth images; a flip or a shift shows.

    Args:
        operator: says the shape and the device.
        batch: B.

    Returns:
        (B, *image_shape) float32.
    """
    *_, channels, height, width = operator.image_shape
    v, u = (torch.linspace(-1, 1, side) for side in (height, width))

    def spot(row: float, column: float, radius: float) -> Tensor:
        return torch.outer(torch.exp(-(((v - row) / radius) ** 2)), torch.exp(-(((u - column) / radius) ** 2)))

    strength = torch.linspace(1, 0.5, batch * channels).view(batch, channels, 1, 1)
    return (spot(-0.2, 0.3, 0.25) + strength * spot(0.3, -0.1, 0.15)).to(operator.device)
