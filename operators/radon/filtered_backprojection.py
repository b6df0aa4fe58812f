"""Filtered backprojection: CT reconstruction without training."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from operators.radon.transform import Radon

Window = Literal["ram-lak", "hann"]


@torch.no_grad()
def filtered_backprojection(y: Tensor, operator: Radon, window: Window = "ram-lak", cutoff: float = 1.0) -> Tensor:
    """Filter every projection with the ramp, then apply the exact A^T, scaled so that values are those of the image.

    Args:
        y: sinograms, (B, 1, T, D) float32, of angles evenly spread over half a turn.
        operator: the Radon transform that they are of.
        window: what the ramp is multiplied with: 1 (Ramachandran and Lakshminarayanan) or a raised cosine.
        cutoff: share of the detector's Nyquist frequency where the window ends, above 0 and at most 1.

    Returns:
        Images (B, 1, H, W), not clipped.

    Raises:
        ValueError: for an unknown window or a cut-off outside (0, 1].

    Source: Kak and Slaney 1988, Sec. 3.3, eq. 61 for the ramp's samples.
    """
    if window not in get_args(Window) or not 0 < cutoff <= 1:
        raise ValueError(f"window must be ram-lak or hann and cutoff in (0, 1], got {window!r} and {cutoff}")
    bins = y.shape[-1]
    length = 2 ** math.ceil(math.log2(2 * bins))  # no wrapping around
    response = _ramp(length) * _window(window, cutoff, length)
    filtered = torch.fft.irfft(torch.fft.rfft(y, n=length) * response.to(y), n=length)[..., :bins]
    # For each angle A^T adds up a pixel's rays, of which there are its side over the bins' spacing, each as long as its
    # side. The ramp of bins that lie so far apart is this one over the spacing, so that the spacing cancels.
    step = math.pi / len(operator.angles)
    return operator.adjoint(filtered.contiguous()) * (step / operator.geometry.pixel_size**2)


def _ramp(length: int) -> Tensor:
    """The ramp's response at the frequencies of ``rfft``, bins 1 apart: that of its samples, whose mean is right."""
    places = torch.fft.fftfreq(length, 1 / length, dtype=torch.float64)
    odd = places.remainder(2) == 1
    samples = torch.where(odd, -1 / (math.pi * torch.where(odd, places, 1.0)) ** 2, 0.0)
    samples[0] = 0.25
    return torch.fft.rfft(samples).real


def _window(window: Window, cutoff: float, length: int) -> Tensor:
    share = torch.arange(length // 2 + 1, dtype=torch.float64) / (length // 2) / cutoff
    values = torch.ones_like(share) if window == "ram-lak" else (1 + torch.cos(math.pi * share)) / 2
    return torch.where(share <= 1, values, 0.0)
