"""Radon transform of parallel-beam CT, by Joseph's method or by another library."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.base import LinearOperator
from operators.radon.backends import BACKENDS, backend_for, require_backend
from operators.radon.joseph import ParallelBeam
from operators.radon.projector import Projector
from operators.validation import require_count, require_dtype, require_image_size

DEFAULT_NUM_ANGLES = 200  # LUSER, Sec. 4.1

Angles = Tensor | NDArray[np.floating] | Sequence[float]


class Radon(LinearOperator):
    """Line integrals of an image along parallel rays, (B, 1, H, W) -> (B, 1, T, D).

    Detector j of angle t measures the ray u cos t + v sin t = s_j about the image's centre, u to the right
    and v up, s_j = (j - (D - 1) / 2) * detector_spacing. So angle 0 sums along the image's columns, and row t
    of the sinogram is column t of ``skimage.transform.radon`` at ``numpy.degrees(t)`` (whose centre is pixel
    N // 2, half a pixel off for even N).

    Angles need not be sorted, and one that is given twice is measured twice. A detector whose ray misses the image
    reads zero, even if all do. Values that are not finite pass through: they spoil the rays or pixels whose weights
    touch them, never another sample. There is no check for them, which would cost a pass over the data. Matrices of 4
    MiB and more are kept on disk: see ``operators.disk_cache.cached_arrays`` for where and how much.

    Args:
        image_shape: (H, W) in pixels.
        num_angles: T; the angles are k pi / T unless ``angles`` says otherwise. By default 200.
        num_detectors: D; by default the image diagonal in pixels, rounded up to an odd number (513 at 362).
        angles: (T,) radians, in any order and range; float64, since symmetries are looked for to 1e-9.
        detector_spacing: in pixels; by default the D detectors tile the image diagonal, as in LoDoPaB-CT.
        pixel_size: side of a pixel in the unit of length that line integrals are wanted in.
        backend: what computes them, all to the same scale.
            ``matrix``: a sparse matrix folded by symmetry, on any device.
            ``triton``: fused kernels, on CUDA.
            ``astra``: ASTRA's ``linear`` projector on the CPU, its 3-D kernels on CUDA; float32.
            ``torch-radon``: that library, in either of its versions, on CUDA; float32.
            ``auto``: on CUDA ``triton``, where that is installed, else ``matrix``; follows ``.to(device)``.
        adjoint_backend: what computes A^T, by default the same. torch-radon's backprojection, and ASTRA's on
            CUDA, are not the transposes of what they project with: ``adjoint_backend="auto"`` puts ours, the
            exact transpose of Joseph's projection, beside their projection.

    Attributes:
        angles: (T,) float64, radians.
        geometry: image, detectors and pixel size.
        backend: the name that was asked for.
        projector: what computes A.
        adjoint_projector: what computes A^T.

    Raises:
        ValueError: for sizes, counts or spacings that are not positive, angles that are not a non-empty
            finite vector or not ``num_angles`` many, a backend that is unknown or can't do this geometry.
        ImportError: for a backend whose library is not installed; the message says what to install.

    Source: Joseph 1982; geometry of LoDoPaB-CT (Leuschner et al. 2021).

    Examples:
        >>> import torch
        >>> from operators import Radon
        >>> radon = Radon(image_shape=(32, 32), num_angles=12, num_detectors=45)
        >>> sinogram = radon(torch.rand(2, 1, 32, 32))
        >>> sinogram.shape, radon.adjoint(sinogram).shape
        (torch.Size([2, 1, 12, 45]), torch.Size([2, 1, 32, 32]))
    """

    projector: Projector
    adjoint_projector: Projector

    def __init__(
        self,
        image_shape: tuple[int, int],
        num_angles: int | None = None,
        num_detectors: int | None = None,
        angles: Angles | None = None,
        detector_spacing: float | None = None,
        pixel_size: float = 1.0,
        backend: str = "auto",
        adjoint_backend: str | None = None,
    ) -> None:
        height, width = require_image_size(image_shape)
        directions = _require_angles(angles, num_angles)
        diagonal = math.hypot(height, width)
        detectors = require_count(
            "num_detectors", math.ceil(diagonal) // 2 * 2 + 1 if num_detectors is None else num_detectors
        )
        spacing = diagonal / detectors if detector_spacing is None else detector_spacing
        super().__init__((1, height, width), (1, len(directions), detectors))
        self.angles = directions
        self.geometry = ParallelBeam(
            (height, width),
            detectors,
            _require_length("detector_spacing", spacing),
            _require_length("pixel_size", pixel_size),
        )
        self.backend = require_backend(backend)
        self.adjoint_backend = require_backend(backend if adjoint_backend is None else adjoint_backend)
        self._chosen: tuple[str, str] | None = None
        self._choose_projectors(self.device)

    @property
    def is_matched(self) -> bool:
        """Whether the adjoint is the exact transpose of the forward map, to rounding."""
        return self.projector.exact and self.adjoint_projector.exact

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, self.projector.dtypes, "image")
        return self.projector.project(x) if len(x) else x.new_zeros((0, *self.data_shape))

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, self.adjoint_projector.dtypes, "sinogram")
        return self.adjoint_projector.project_back(y) if len(y) else y.new_zeros((0, *self.image_shape))

    def _choose_projectors(self, device: torch.device) -> None:
        wanted = (self.backend, self.adjoint_backend)
        first, second = (backend_for(device) if name == "auto" else name for name in wanted)
        if self._chosen == (first, second):
            return
        self.projector = BACKENDS[first](self.geometry, self.angles)
        self.adjoint_projector = self.projector if second == first else BACKENDS[second](self.geometry, self.angles)
        self._chosen = first, second

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Radon":
        # Chosen before the tables move, so that a matrix that isn't wanted there never takes memory on the GPU.
        self._choose_projectors(fn(torch.empty(0, device=self.device)).device)
        return super()._apply(fn, recurse)


def _require_angles(angles: Angles | None, num_angles: int | None) -> NDArray[np.float64]:
    if angles is None:
        count = DEFAULT_NUM_ANGLES if num_angles is None else require_count("num_angles", num_angles)
        return np.arange(count, dtype=np.float64) * (np.pi / count)
    given = angles.detach().cpu().numpy() if isinstance(angles, Tensor) else np.array(angles)
    if given.dtype.kind not in "fiu":
        raise ValueError(f"angles must be real numbers, got {given.dtype}")
    values = given.astype(np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"angles must be a non-empty finite vector, got shape {values.shape}")
    if num_angles is not None and num_angles != values.size:
        raise ValueError(f"num_angles is {num_angles}, but {values.size} angles were given")
    return values


def _require_length(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)
