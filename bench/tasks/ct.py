"""Sparse-view low-dose CT in the geometry of LoDoPaB-CT: the paper's second task."""

import math
from functools import lru_cache, partial

import torch
from torch import Tensor

from bench.data.base import MeasuredImage
from bench.data.formats.lodopab import open_lodopab
from bench.data.formats.observations import open_observations
from bench.tasks.base import MeasuredData, Task
from bench.tasks.ct_windows import ScanWindows
from bench.tasks.images import GeneratedOr, clipped
from bench.tasks.metrics import psnr_db, ssim
from operators.base import ForwardOperator, LinearOperator
from operators.radon.transform import Radon

FIELD_OF_VIEW_M = 0.26
FULL_SIZE, FULL_ANGLES, FULL_DETECTORS = 362, 200, 513
MIN_ANGLES = 24
ATTENUATION_PER_M = 81.35858  # of 3071 HU; images and sinograms are divided by it
PHOTONS = 4096  # per detector bin, before the patient
MIN_PHOTONS = 0.1  # the count of a bin that no photon reached


def operator_at(image_shape: tuple[int, int], device: torch.device) -> LinearOperator:
    """Build LoDoPaB-CT's Radon transform of every fifth angle, scaled to the image.

    At 362 x 362 these are 200 angles (5k + 1/2) pi / 1000 and 513 bins. A smaller image shows the same
    0.26 m, with angles and bins in proportion: a multiple of 4 angles (k + 0.1) pi / T, at least 24, and an
    odd number of bins over the image's diagonal. Line integrals are in metres times the image's values.

    Args:
        image_shape: (H, W) in pixels; the longer side is 0.26 m.
        device: of its tables.

    Source: LUSER, Sec. 4.1; Leuschner et al. 2021 for the geometry.
    """
    size = max(image_shape)
    num_angles = max(MIN_ANGLES, 4 * round(FULL_ANGLES * size / FULL_SIZE / 4))
    num_detectors = 2 * round((FULL_DETECTORS * size / FULL_SIZE - 1) / 2) + 1
    angles = (torch.arange(num_angles, dtype=torch.float64) + 0.1) * math.pi / num_angles
    return Radon(
        image_shape,
        num_angles=num_angles,
        num_detectors=num_detectors,
        angles=angles,
        pixel_size=FIELD_OF_VIEW_M / size,
    ).to(device)


@torch.no_grad()
def measure(operator: ForwardOperator, images: Tensor, generator: torch.Generator) -> Tensor:
    """Project images and count photons: LoDoPaB-CT's own noise, after its logarithm.

    Args:
        operator: A, with line integrals in metres times the image's values.
        images: (B, 1, H, W) in [0, 1].
        generator: on the CPU; draws the photons.

    Returns:
        -ln(max(N, 0.1) / 4096) / 81.35858 with N from Poisson(4096 exp(-81.35858 A x)): (B, 1, T, D), about
        A x. A bin gets 4096 photons at every image size.

    Source: Leuschner et al. 2021, Sec. "Simulation"; the constants of LoDoPaB-CT.
    """
    clean = operator(images)
    expected = PHOTONS * torch.exp(-ATTENUATION_PER_M * clean)
    # Draws are made on the CPU for every device, so that a seed means the same measurement everywhere.
    photons = torch.poisson(expected.to(generator.device), generator=generator).to(clean.device)
    return -torch.log(photons.clamp(min=MIN_PHOTONS) / PHOTONS) / ATTENUATION_PER_M


load_split = GeneratedOr("chest", open_lodopab)
"""Chest phantoms, or ground-truth slices in LoDoPaB-CT's layout."""


def acquire(item: MeasuredImage, device: torch.device) -> tuple[LinearOperator, Tensor]:
    """Take an observation as it was published, noise included.

    Args:
        item: of ``open_observations``.
        device: where to measure.

    Returns:
        The operator of 200 angles at 362 x 362, one for all items, and y, (1, 1, 200, 513).
    """
    return _full_operator(device), item.measurements[None].to(device)


@lru_cache(maxsize=1)
def _full_operator(device: torch.device) -> LinearOperator:
    return operator_at((FULL_SIZE, FULL_SIZE), device)


CT = Task(
    name="ct",
    title="CT",
    channels=1,
    image_shape=(FULL_SIZE, FULL_SIZE),
    operator_at=operator_at,
    measure=measure,
    data_set="lodopab",
    load_split=load_split,
    display=clipped,
    # Range 1 is the ground truth's published range; its own library (dival) divides by each image's own span.
    metrics={
        "psnr_db": psnr_db,
        "ssim": ssim,
        "psnr_span_db": partial(psnr_db, data_range="truth-span"),
        "ssim_span": partial(ssim, data_range="truth-span"),
    },
    measured=MeasuredData(load_split=open_observations, acquire=acquire),
    starts=("adjoint", "fbp"),
    windows=partial(ScanWindows, measure=measure),
)
