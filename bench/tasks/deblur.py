"""Deblurring of colour photographs: the paper's first task."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.base import ImageSplit, Split
from bench.data.formats.celeba import is_celeba, open_celeba
from bench.data.formats.folder import open_folder
from bench.tasks.base import Task, standard_normal
from bench.tasks.images import GeneratedOr, clipped
from bench.tasks.metrics import psnr_db, ssim
from operators.base import ForwardOperator, LinearOperator
from operators.blur import GaussianBlur

NOISE = 0.01  # standard deviation on the [0, 1] scale


def operator_at(image_shape: tuple[int, int], device: torch.device) -> LinearOperator:
    """Build the paper's 9 x 9 Gaussian of variance 5; the kernel has the same pixels at every image size."""
    return GaussianBlur(image_shape, channels=3).to(device)


@torch.no_grad()
def measure(operator: ForwardOperator, images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur images and add white Gaussian noise of standard deviation 0.01.

    Args:
        operator: A.
        images: (B, 3, H, W) in [0, 1].
        generator: on the CPU; draws the noise.

    Returns:
        (B, 3, H, W), not clipped.

    Source: LUSER, Sec. 4.1.
    """
    clean = operator(images)
    return clean + NOISE * standard_normal(clean, generator)


def open_photos(
    source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool
) -> ImageSplit[Any]:
    """Open CelebA where a folder looks like it, else any photographs; arguments and errors as in ``OpenSplit``."""
    read = open_celeba if is_celeba(source) else open_folder
    return read(source, split, image_shape=image_shape, count=count, seed=seed, native=native)


DEBLUR = Task(
    name="deblur",
    title="Deblurring",
    channels=3,
    image_shape=(218, 178),
    operator_at=operator_at,
    measure=measure,
    data_set="celeba",
    load_split=GeneratedOr("leaves", open_photos),
    display=clipped,
    metrics={"psnr_db": psnr_db, "ssim": ssim},
)
