"""The Radon transform by the ASTRA toolbox: its CPU's Joseph projector, or its kernels on CUDA."""

from types import ModuleType
from typing import Any

import astra
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.radon.joseph import ParallelBeam
from operators.radon.projector import Projector


class AstraProjector(Projector):
    """ASTRA's ``linear`` projector on the CPU, image by image; on CUDA its 3-D kernels, the batch as slices.

    ASTRA measures angles and detectors as we do, in pixels, and computes in float32. On the CPU its two
    directions share Joseph's weights. On CUDA both work on the tensors' own memory, but its backprojection
    interpolates between detectors where the projection interpolates between pixels: they are not transposes.

    Args:
        geometry: image and detectors.
        angles: (T,) radians.

    Source: van Aarle et al., "The ASTRA Toolbox", Ultramicroscopy 2015; Palenstijn et al. 2011 (CUDA).
    """

    dtypes = (torch.float32,)

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64]) -> None:
        super().__init__(geometry, angles)
        self.register_buffer("_home", torch.empty(0, dtype=torch.uint8), persistent=False)  # follows .to(device)

    @property
    def exact(self) -> bool:
        """Whether the two directions are transposes: on the CPU."""
        return self.get_buffer("_home").device.type == "cpu"

    def project(self, x: Tensor) -> Tensor:
        """Run ``FP``, or ``FP3D_CUDA`` where x is on CUDA."""
        x = x.contiguous()
        y = x.new_zeros((len(x), *self.data_shape))
        self._run("FP", x[:, 0], y[:, 0])
        return y.mul_(self.geometry.pixel_size)

    def project_back(self, y: Tensor) -> Tensor:
        """Run ``BP``, or ``BP3D_CUDA`` where y is on CUDA."""
        y = y.contiguous()
        x = y.new_zeros((len(y), *self.image_shape))
        self._run("BP", x[:, 0], y[:, 0])
        return x.mul_(self.geometry.pixel_size)

    def _run(self, kind: str, images: Tensor, sinograms: Tensor) -> None:
        if images.is_cuda:
            self._run_cuda(f"{kind}3D_CUDA", images, sinograms)
        else:
            self._run_cpu(kind, images, sinograms)

    def _run_cpu(self, kind: str, images: Tensor, sinograms: Tensor) -> None:
        volume = astra.create_vol_geom(*self.geometry.image_shape)
        spacing, detectors = self.geometry.detector_spacing, self.geometry.num_detectors
        rays = astra.create_proj_geom("parallel", spacing, detectors, self.angles)
        projector = astra.create_projector("linear", rays, volume)
        try:
            for pair in zip(images, sinograms, strict=True):
                # Held until they are unlinked: releasing a tensor in there would release the GIL under ASTRA's
                # own lock, and two threads could wait for each other for ever.
                image, sinogram = (tensor.numpy() for tensor in pair)
                data = astra.data2d.link("-vol", volume, image), astra.data2d.link("-sino", rays, sinogram)
                _run_algorithm(kind, data, astra.data2d, projector)
        finally:
            astra.projector.delete(projector)

    def _run_cuda(self, kind: str, images: Tensor, sinograms: Tensor) -> None:
        height, width = self.geometry.image_shape
        volume = astra.create_vol_geom(height, width, len(images))
        # In 3-D ASTRA counts rows along v, in 2-D against it: the angles turn the other way.
        spacing, detectors = self.geometry.detector_spacing, self.geometry.num_detectors
        rays = astra.create_proj_geom("parallel3d", spacing, 1.0, len(images), detectors, -self.angles)
        data = (
            astra.data3d.link("-vol", volume, _gpu_link(images)),
            astra.data3d.link("-proj3d", rays, _gpu_link(sinograms)),
        )
        torch.cuda.current_stream(images.device).synchronize()  # ASTRA launches on a stream of its own
        _run_algorithm(kind, data, astra.data3d, None)


def _run_algorithm(kind: str, data: tuple[int, int], store: ModuleType, projector: int | None) -> None:
    volume, rays = data
    config = astra.astra_dict(kind)
    config["VolumeDataId" if kind.startswith("FP") else "ReconstructionDataId"] = volume
    config["ProjectionDataId"] = rays
    if projector is not None:
        config["ProjectorId"] = projector
    algorithm = astra.algorithm.create(config)
    try:
        astra.algorithm.run(algorithm)
    finally:
        astra.algorithm.delete(algorithm)
        store.delete(list(data))


def _gpu_link(stack: Tensor) -> Any:
    """Describe a contiguous float32 stack (Z, Y, X) on CUDA to ASTRA, which then works in place."""
    depth, rows, columns = stack.shape
    return astra.data3d.GPULink(stack.data_ptr(), columns, rows, depth, stack.element_size() * columns)
