"""The interface behind ``Radon``: one implementation of a scan's projection and its adjoint."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.radon.joseph import ParallelBeam
from operators.validation import REAL_DTYPES


class Projector(nn.Module, ABC):
    """Projects batches along a scan's rays, and back.

    Args:
        geometry: image and detectors.
        angles: (T,) radians.

    Attributes:
        image_shape: (1, H, W).
        data_shape: (1, T, D).
        dtypes: precisions that it computes in.
    """

    dtypes: tuple[torch.dtype, ...] = REAL_DTYPES

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64]) -> None:
        super().__init__()
        self.geometry, self.angles = geometry, angles
        self.image_shape = (1, *geometry.image_shape)
        self.data_shape = (1, len(angles), geometry.num_detectors)

    @property
    def exact(self) -> bool:
        """Whether both directions use Joseph's weights, to rounding, and so are transposes of each other."""
        return True

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Integrate images (B, 1, H, W) along the rays: (B, 1, T, D), in ``geometry.pixel_size``'s unit."""

    @abstractmethod
    def project_back(self, y: Tensor) -> Tensor:
        """Apply the adjoint to sinograms (B, 1, T, D): (B, 1, H, W)."""
