"""Accelerated single-coil MRI: the paper's third and fourth task."""

import zlib
from functools import partial

import torch
from torch import Tensor

from bench.data.base import MeasuredImage
from bench.data.formats.fastmri import native_shape, open_fastmri
from bench.data.formats.fastmri_volume import SIZE
from bench.data.formats.kspace import open_k_space
from bench.tasks.base import MeasuredData, Task, standard_normal
from bench.tasks.images import GeneratedOr
from bench.tasks.metrics import psnr_db, ssim
from operators.base import ForwardOperator, LinearOperator
from operators.fourier import SubsampledFourier

NOISE = 0.002
"""Standard deviation of real and imaginary part, where a volume's brightest pixel is 1.

With all of k-space that is a signal-to-noise ratio of 500 there and of 100 to 200 in most tissue, as of a
good clinical scan. The paper names no noise. Measured k-space has a scanner's own already; the generated one
would have none.
"""
MASK_SEED = 0


def operator_at(image_shape: tuple[int, int], device: torch.device, acceleration: int) -> LinearOperator:
    """Build the Fourier transform that keeps one fixed random set of columns, fastMRI's centre included."""
    return SubsampledFourier(image_shape, acceleration=acceleration, seed=MASK_SEED).to(device)


@torch.no_grad()
def measure(operator: ForwardOperator, images: Tensor, generator: torch.Generator) -> Tensor:
    """Sample k-space with white complex Gaussian noise on the sampled entries.

    The noise is added to the image: the Fourier transform is unitary, so that it is as white in k-space,
    and A itself leaves the other entries zero.

    Args:
        operator: A, a masked unitary transform.
        images: (B, 2, H, W), magnitudes at most 1.
        generator: on the CPU; draws the noise.

    Returns:
        (B, H, W) complex64.
    """
    return operator(images + NOISE * standard_normal(images, generator))


def acquire(item: MeasuredImage, device: torch.device, acceleration: int) -> tuple[LinearOperator, Tensor]:
    """Undersample measured k-space at its full size; the scanner's own noise is in it, and none is added.

    Args:
        item: of ``open_k_space``.
        device: where to measure.
        acceleration: how many times fewer columns are kept.

    Returns:
        The operator at the volume's own (H, W), and y, (1, H, W) complex64, zero outside the mask. As in
        fastMRI's evaluation the mask is drawn from the volume's file name: one for all of its slices.
    """
    height, width = item.measurements.shape
    mask_seed = zlib.crc32(item.file.encode())
    operator = SubsampledFourier((height, width), acceleration=acceleration, seed=mask_seed).to(device)
    return operator, (item.measurements.to(device) * operator.sampling_mask)[None]


def display(image: Tensor) -> Tensor:
    """Return the magnitude of (2, H, W), clipped to [0, 1] and cropped to at most 320 x 320: (1, H, W)."""
    top, left = (max(side - SIZE, 0) // 2 for side in image.shape[-2:])
    cropped = image[..., top : top + SIZE, left : left + SIZE]
    return torch.linalg.vector_norm(cropped, dim=0, keepdim=True).clamp(max=1)


def mri_task(acceleration: int) -> Task:
    """Describe the task at one acceleration.

    Args:
        acceleration: how many times fewer columns of k-space are sampled; one mask for all images.

    Source: LUSER, Sec. 4.1; fully sampled centre and crop of fastMRI (Zbontar et al. 2018).
    """
    return Task(
        name=f"mri{acceleration}x",
        title=f"MRI {acceleration}x",
        channels=2,
        image_shape=(320, 320),
        operator_at=partial(operator_at, acceleration=acceleration),
        measure=measure,
        data_set="fastmri",
        load_split=GeneratedOr("scan", open_fastmri),
        display=display,
        # Images are divided by their volume's maximum, so that range 1 is fastMRI's own: the volume's maximum.
        metrics={
            "psnr_db": psnr_db,
            "ssim": ssim,
            "psnr_slice_db": partial(psnr_db, data_range="truth-maximum"),
            "ssim_slice": partial(ssim, data_range="truth-maximum"),
        },
        native_shape=native_shape,
        measured=MeasuredData(load_split=open_k_space, acquire=partial(acquire, acceleration=acceleration)),
    )
