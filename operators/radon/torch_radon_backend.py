"""The Radon transform by torch-radon, the original or its maintained fork."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.radon.joseph import ParallelBeam
from operators.radon.projector import Projector

MAX_ANGLES = 4096  # its kernel keeps their sines in a table of this size


class TorchRadonProjector(Projector):
    """torch-radon's texture kernels, on CUDA, float32.

    Its angles (radians), centre and detectors are ours, its line integrals are in pixels, and its
    backprojection is already divided by the detector spacing: the only factor is the pixel size. Both
    directions interpolate in textures with 8-bit weights, the backprojection between detectors, so it is
    **not the exact transpose** of its projection; ``Radon``'s ``adjoint_backend`` puts our adjoint in its place.

    Args:
        geometry: image and detectors; the original takes square images only.
        angles: (T,) radians, at most 4096.
        library: the module ``torch_radon``: the original, with ``Radon(resolution, angles, det_count,
            det_spacing, clip_to_circle)`` and ``.backprojection``, or carterbox's fork, with
            ``ParallelBeam(det_count, angles, det_spacing, volume)`` and ``.backward``.

    Raises:
        ValueError: for more than 4096 angles, or an oblong image and the original library.

    Source: Ronchetti, "TorchRadon", arXiv 2009.14788; github.com/carterbox/torch-radon 4.0.
    """

    dtypes = (torch.float32,)

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64], library: ModuleType) -> None:
        super().__init__(geometry, angles)
        if len(angles) > MAX_ANGLES:
            raise ValueError(f"torch-radon takes at most {MAX_ANGLES} angles, got {len(angles)}")
        self.register_buffer("_home", torch.empty(0, dtype=torch.uint8), persistent=False)  # follows .to(device)
        self._scan: Any = _fork_scan(library, self) if hasattr(library, "ParallelBeam") else _scan(library, self)
        self._back: Any = getattr(self._scan, "backprojection", None) or self._scan.backward

    @property
    def exact(self) -> bool:
        """False: see above."""
        return False

    def project(self, x: Tensor) -> Tensor:
        """Run its ``forward``."""
        with _default_stream(x.device):
            return self._scan.forward(x.contiguous()) * self.geometry.pixel_size

    def project_back(self, y: Tensor) -> Tensor:
        """Run its ``backprojection``, or ``backward`` as the fork calls it."""
        with _default_stream(y.device):
            return self._back(y.contiguous()) * self.geometry.pixel_size


def _scan(library: ModuleType, projector: Projector) -> Any:
    geometry = projector.geometry
    height, width = geometry.image_shape
    if height != width:
        raise ValueError(f"this version of torch-radon takes square images only, got {height} x {width}")
    angles = projector.angles.astype(np.float32)
    spacing = geometry.detector_spacing
    return library.Radon(width, angles, det_count=geometry.num_detectors, det_spacing=spacing, clip_to_circle=False)


def _fork_scan(library: ModuleType, projector: Projector) -> Any:
    geometry = projector.geometry
    volume = library.Volume2D()
    volume.set_size(*geometry.image_shape)  # otherwise its backward lacks it before the first forward
    angles = projector.angles.astype(np.float32)
    return library.ParallelBeam(geometry.num_detectors, angles, geometry.detector_spacing, volume)


@contextmanager
def _default_stream(device: torch.device) -> Iterator[None]:
    """Run a block in order with the caller's stream: torch-radon always launches on the default one."""
    if device.type != "cuda":
        yield
        return
    caller, default = torch.cuda.current_stream(device), torch.cuda.default_stream(device)
    default.wait_stream(caller)
    with torch.cuda.stream(default):
        yield
    caller.wait_stream(default)
