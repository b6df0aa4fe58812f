"""PSNR and SSIM of displayed images, with the reference implementation of scikit-image."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage import metrics  # its functions load SciPy when first used: a quarter of a command's start
from torch import Tensor

SSIM_WINDOW = 7  # pixels; scikit-image's default and fastMRI's

DataRange = Literal["unit", "truth-maximum", "truth-span"]
"""The range with which PSNR and SSIM compare an error: 1; the truth's maximum; the truth's maximum minus its
minimum."""


def psnr_db(image: Tensor, truth: Tensor, *, data_range: DataRange = "unit") -> float:
    """Peak signal-to-noise ratio, 10 log10(range^2 / mean squared error).

    Args:
        image: displayed reconstruction, (C, H, W); clipped to [0, 1].
        truth: displayed truth, of the same shape; clipped to [0, 1].
        data_range: the convention. ``"unit"`` for photographs, for the published range of LoDoPaB-CT, and for MRI
            as fastMRI grades it where the volume's maximum is 1; ``"truth-span"`` is the default of LoDoPaB-CT's
            own library; ``"truth-maximum"`` takes each slice's own maximum.

    Returns:
        Decibels; infinite for two equal images.

    Raises:
        ValueError: if the shapes differ.
    """
    shown, reference = _as_array(image), _as_array(truth)
    with np.errstate(divide="ignore"):  # equal images: log10 of an infinite ratio
        return float(metrics.peak_signal_noise_ratio(reference, shown, data_range=_range(reference, data_range)))


def ssim(image: Tensor, truth: Tensor, *, data_range: DataRange = "unit") -> float:
    """Structural similarity over uniform windows of 7 x 7 pixels, averaged over pixels and channels.

    Args:
        image: displayed reconstruction, (C, H, W), at least 7 x 7 pixels; clipped to [0, 1].
        truth: displayed truth, of the same shape; clipped to [0, 1].
        data_range: the convention, as in ``psnr_db``.

    Returns:
        At most 1, which equal images reach.

    Raises:
        ValueError: if the shapes differ or an image is smaller than the window.

    Source: Wang et al. 2004, with scikit-image's (and so fastMRI's) uniform window and sample covariance.
    """
    shown, reference = _as_array(image), _as_array(truth)
    value = metrics.structural_similarity(
        reference, shown, win_size=SSIM_WINDOW, data_range=_range(reference, data_range), channel_axis=0
    )
    return float(value)


def _as_array(image: Tensor) -> NDArray[np.float64]:
    return image.detach().double().clamp(0, 1).cpu().numpy()


def _range(truth: NDArray[np.float64], convention: DataRange) -> float:
    measured = {
        "unit": 1.0,
        "truth-maximum": float(truth.max()),
        "truth-span": float(truth.max() - truth.min()),
    }[convention]
    return measured or 1.0  # a black slice has no range of its own
