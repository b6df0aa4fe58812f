"""Diffraction tomography: not a task of the paper; its operator costs more than the networks around it."""

import torch
from torch import Tensor

from bench.tasks.base import Task, standard_normal
from bench.tasks.ct import load_split
from bench.tasks.images import clipped
from bench.tasks.metrics import psnr_db, ssim
from operators.base import ForwardOperator
from operators.diffraction import Diffraction

NOISE = 0.01
"""Standard deviation of the field's real and imaginary part, where the incident waves have amplitude 1."""


def operator_at(image_shape: tuple[int, int], device: torch.device) -> ForwardOperator:
    """Build the multi-slice operator: half a wavelength per pixel, a quarter as many tilts per side as pixels.

    Crossing the whole image at value 1 delays light by one wavelength at every size, so that the problem is
    equally non-linear: the first (Born) term misses about half of the scattered field of a chest phantom.
    """
    return Diffraction(image_shape).to(device)


@torch.no_grad()
def measure(operator: ForwardOperator, images: Tensor, generator: torch.Generator) -> Tensor:
    """Scatter waves and add white complex Gaussian noise.

    Args:
        operator: A.
        images: (B, 1, H, W) in [0, 1], refractive-index contrast.
        generator: on the CPU; draws the noise.

    Returns:
        (B, T, W + H) complex64.
    """
    clean = operator(images)
    return clean + NOISE * torch.view_as_complex(standard_normal(torch.view_as_real(clean), generator))


DIFFRACTION = Task(
    name="diffraction",
    title="Diffraction",
    channels=1,
    image_shape=(128, 128),
    operator_at=operator_at,
    measure=measure,
    data_set="lodopab",
    # CT's images, taken as maps of the refractive index: only the operator differs from that task.
    load_split=load_split,
    display=clipped,
    metrics={"psnr_db": psnr_db, "ssim": ssim},
)
