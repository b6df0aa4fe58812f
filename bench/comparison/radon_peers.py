"""The Radon transforms of ASTRA, scikit-image and deepinv, on our batches and our geometry."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import iradon
from skimage.transform import radon as skimage_radon
from torch import Tensor

from bench.comparison.peer_operator import Peer
from operators import LinearOperator, Radon
from operators.bridges.deepinv import import_deepinv
from operators.radon.joseph import ParallelBeam


def astra_radon(operator: LinearOperator, threads: int) -> Peer:
    """Return ASTRA's Joseph projector; its code for CPUs has one thread and releases the GIL, so we split the angles.

    Args:
        operator: ours, a ``Radon``; ASTRA runs on its device.
        threads: into how many parts the angles are split.
    """
    from operators.radon.astra_backend import AstraProjector

    assert isinstance(operator, Radon)
    parts = [AstraProjector(operator.geometry, angles) for angles in np.array_split(operator.angles, threads)]
    parts = [part.to(operator.device) for part in parts]
    if threads == 1:
        return Peer(parts[0].project, parts[0].project_back)
    sizes, pool = [part.data_shape[1] for part in parts], ThreadPoolExecutor(threads)

    def forward(x: Tensor) -> Tensor:
        return torch.cat(list(pool.map(lambda part: part.project(x), parts)), dim=2)

    def adjoint(y: Tensor) -> Tensor:
        images = pool.map(lambda part, rows: part.project_back(rows), parts, y.split(sizes, dim=2))
        return torch.stack(list(images)).sum(dim=0)

    return Peer(forward, adjoint)


def scikit_image_radon(operator: LinearOperator) -> Peer:
    """Return ``radon`` and ``iradon`` without a filter, image by image.

    Args:
        operator: ours, a ``Radon`` of square images.
    """
    assert isinstance(operator, Radon)
    theta, size = np.degrees(operator.angles), operator.image_shape[-1]

    def forward(x: Tensor) -> Tensor:
        return _each(lambda image: skimage_radon(image, theta=theta, circle=False), x)

    def adjoint(y: Tensor) -> Tensor:
        options = {"theta": theta, "output_size": size, "filter_name": None, "circle": False}
        return _each(lambda sinogram: iradon(sinogram, **options), y)

    return _with_own_detectors(operator, Peer(forward, adjoint), shift=0)


def deepinv_radon(operator: LinearOperator) -> Peer:
    """Return ``Tomography`` with its default adjoint.

    Args:
        operator: ours, a ``Radon`` of square images.
    """
    assert isinstance(operator, Radon)
    angles = torch.as_tensor(np.degrees(operator.angles), dtype=torch.float32, device=operator.device)
    physics = import_deepinv().physics.Tomography(
        angles=angles, img_width=operator.image_shape[-1], normalize=False, device=operator.device
    )
    # It turns the padded image about its centre, which for an even side lies half a pixel before pixel D' // 2.
    shift = 0.5 if _own_detectors(operator) % 2 == 0 else 0.0
    return _with_own_detectors(operator, Peer(physics.A, physics.A_adjoint, owners=(physics,)), shift)


def _own_detectors(operator: Radon) -> int:
    """Return D' of scikit-image and deepinv, whose detectors lie a pixel apart and cover the diagonal."""
    return ceil(2**0.5 * operator.image_shape[-1])


def _with_own_detectors(operator: Radon, peer: Peer, shift: float) -> Peer:
    """Compare on our detectors what scikit-image and deepinv measure on theirs, (B, 1, D', T).

    Args:
        operator: ours.
        peer: theirs; its detector D' // 2 - shift sees the centre of rotation.
        shift: the centre of rotation is pixel N // 2 - shift, in both directions.
    """
    geometry: ParallelBeam = operator.geometry
    size, count = operator.image_shape[-1], _own_detectors(operator)
    ours = (np.arange(geometry.num_detectors) - (geometry.num_detectors - 1) / 2) * geometry.detector_spacing
    off_centre = (size // 2 - shift - (size - 1) / 2) * (np.cos(operator.angles) - np.sin(operator.angles))
    theirs = np.arange(count) - (count // 2 - shift) + off_centre[:, None]

    def to_peer(y: Tensor) -> Tensor:
        return _resample(y, [(row, ours) for row in theirs]).mT.contiguous()

    def to_ours(y: Tensor) -> Tensor:
        return _resample(y.mT, [(ours, row) for row in theirs])

    return replace(peer, to_peer=to_peer, to_ours=to_ours)


def _resample(sinograms: Tensor, places: list[tuple[NDArray[Any], NDArray[Any]]]) -> Tensor:
    """Interpolate (B, 1, T, D), angle by angle, at the first places of a pair given values at the second."""

    def one(sinogram: NDArray[Any]) -> NDArray[Any]:
        rows = zip(places, sinogram, strict=True)
        return np.stack([np.interp(at, known, row, left=0, right=0) for (at, known), row in rows])

    return _each(one, sinograms).to(sinograms.device, torch.float32)


def _each(apply: Callable[[NDArray[Any]], NDArray[Any]], batch: Tensor) -> Tensor:
    """Apply a function of one 2-D array to every image of (B, 1, H, W)."""
    return torch.from_numpy(np.stack([apply(image)[None] for (image,) in batch.cpu().numpy()]))
