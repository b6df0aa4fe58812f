"""The same maps by other libraries, as a user of theirs would call them: (forward, adjoint) on our batches."""

from functools import partial

import numpy as np
import torch
from skimage.filters import gaussian
from skimage.transform import iradon
from skimage.transform import radon as skimage_radon

from operators.deepinv_physics import import_deepinv


def skimage_blur(operator):
    def blur(batch):
        arguments = {"sigma": 5**0.5, "truncate": 4 / 5**0.5, "mode": "constant", "channel_axis": 0}
        return torch.from_numpy(np.stack([gaussian(image, **arguments) for image in batch.numpy()]))

    return blur, blur


def skimage_projections(operator):
    theta, size = np.degrees(operator.angles), operator.image_shape[-1]

    def forward(x):
        return torch.from_numpy(np.stack([skimage_radon(i[0], theta=theta, circle=False).T[None] for i in x.numpy()]))

    def adjoint(y):
        arguments = {"theta": theta, "output_size": size, "filter_name": None, "circle": False}
        return torch.from_numpy(np.stack([iradon(s[0].T, **arguments)[None] for s in y.numpy()]))

    return forward, adjoint


def astra_projections(operator):
    """ASTRA's projector with our weights, on one thread: its code for CPUs has no more."""
    import astra

    (_, height, width), (_, _, detectors) = operator.image_shape, operator.data_shape
    image = astra.create_vol_geom(height, width)
    spacing = operator.geometry.detector_spacing
    scan = astra.create_proj_geom("parallel", spacing, detectors, np.asarray(operator.angles))
    projector = astra.create_projector("linear", scan, image)

    def each(run, batch):
        results = []
        for (array,) in batch.numpy():
            number, result = run(array, projector)
            astra.data2d.delete(number)
            results.append(result[None])
        return torch.from_numpy(np.stack(results))

    return partial(each, astra.create_sino), partial(each, astra.create_backprojection)


def deepinv_blur(operator):
    taps = torch.tensor(operator.taps, dtype=torch.float32)
    physics = import_deepinv().physics.Blur(filter=torch.outer(taps, taps)[None, None], padding="constant")
    return physics.A, physics.A_adjoint


def deepinv_fourier(operator):
    mask = operator.sampling_mask.float().expand(1, *operator.image_shape)
    physics = import_deepinv().physics.MRI(mask=mask, img_size=operator.image_shape)
    return physics.A, lambda y: physics.A_adjoint(torch.view_as_real(y).movedim(-1, 1))


def deepinv_projections(operator):
    angles = torch.as_tensor(np.degrees(operator.angles), dtype=torch.float32)
    physics = import_deepinv().physics.Tomography(angles=angles, img_width=operator.image_shape[-1], normalize=False)
    (detectors, angles), circles = physics.A(torch.zeros(1, *operator.image_shape)).shape[2:], operator.data_shape[1:]
    assert (angles, abs(detectors - circles[1]) <= 2) == (circles[0], True)
    return physics.A, lambda y: physics.A_adjoint(y.mT[..., :detectors, :].contiguous())


PEERS = {
    ("gaussian-blur", "scikit-image"): skimage_blur,
    ("gaussian-blur", "deepinv"): deepinv_blur,
    ("subsampled-fourier", "deepinv"): deepinv_fourier,
    ("radon", "scikit-image"): skimage_projections,
    ("radon", "astra"): astra_projections,
    ("radon", "deepinv"): deepinv_projections,
}
"""(operator, library) -> operator -> (forward, adjoint)."""
