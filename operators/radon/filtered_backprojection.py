"""Filtered backprojection: CT reconstruction without training."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from operators.radon.transform import Radon
from operators.validation import require_choice

Window = Literal["ram-lak", "hann"]
Backprojection = Literal["adjoint", "linear"]


@torch.no_grad()
def filtered_backprojection(
    y: Tensor,
    operator: Radon,
    window: Window = "ram-lak",
    cutoff: float = 1.0,
    backprojection: Backprojection = "adjoint",
) -> Tensor:
    """Filter every projection with the ramp, then project it back, scaled so that values are those of the image.

    The weights of the rays that the exact A^T adds up at a pixel don't sum to the same for every pixel of one angle:
    rays cross an image line up to 1.4 pixels apart. Over many angles this averages out, and A^T is the better; with
    few, interpolating between a projection's detectors is. A Shepp-Logan phantom of 256 x 256 pixels from 60, 180 and
    360 angles, PSNR: ``adjoint`` 23.6, 30.7 and 31.6 dB, ``linear`` 24.0, 30.8 and 31.3 dB.

    Args:
        y: sinograms, (B, 1, T, D) float32, of angles evenly spread over half a turn.
        operator: the Radon transform that they are of.
        window: what the ramp is multiplied with: 1 (Ramachandran and Lakshminarayanan) or a raised cosine.
        cutoff: share of the detector's Nyquist frequency where the window ends, above 0 and at most 1.
        backprojection: ``adjoint``, the operator's exact A^T, or ``linear``, each pixel's place on the detector
            interpolated.

    Returns:
        Images (B, 1, H, W), not clipped.

    Raises:
        ValueError: for an unknown window or backprojection, or a cut-off outside (0, 1].

    Source: Kak and Slaney 1988, Sec. 3.3, eq. 61 for the ramp's samples.
    """
    if window not in get_args(Window) or not 0 < cutoff <= 1:
        raise ValueError(f"window must be ram-lak or hann and cutoff in (0, 1], got {window!r} and {cutoff}")
    require_choice("backprojection", backprojection, get_args(Backprojection))
    bins = y.shape[-1]
    length = 2 ** math.ceil(math.log2(2 * bins))  # no wrapping around
    response = _ramp(length) * _window(window, cutoff, length)
    filtered = torch.fft.irfft(torch.fft.rfft(y, n=length) * response.to(y), n=length)[..., :bins]
    step = math.pi / len(operator.angles)
    geometry = operator.geometry
    if backprojection == "linear":
        # The ramp of bins that lie so far apart is this one over the distance.
        return _interpolated(filtered, operator) * (step / (geometry.detector_spacing * geometry.pixel_size))
    # For each angle A^T adds up a pixel's rays, of which there are its side over the bins' spacing, each as long as its
    # side. The ramp is over the spacing too, which so cancels.
    return operator.adjoint(filtered.contiguous()) * (step / geometry.pixel_size**2)


def _interpolated(filtered: Tensor, operator: Radon) -> Tensor:
    """Add up every pixel's value on each projection (B, 1, T, D), between its two nearest detectors: (B, 1, H, W)."""
    (height, width), bins = operator.geometry.image_shape, filtered.shape[-1]
    right = torch.arange(width, dtype=torch.float64, device=filtered.device) - (width - 1) / 2
    up = (height - 1) / 2 - torch.arange(height, dtype=torch.float64, device=filtered.device)[:, None]
    image = filtered.new_zeros((len(filtered), *operator.image_shape))
    edged = F.pad(filtered, (1, 1))  # beyond the detector there is nothing
    for index, angle in enumerate(operator.angles):
        offset = right * math.cos(angle) + up * math.sin(angle)
        place = (offset / operator.geometry.detector_spacing + (bins + 1) / 2).clamp(0, bins + 1)
        left = place.floor().clamp(max=bins)
        values, first = edged[:, :, index], left.long()
        image += torch.lerp(values[..., first], values[..., first + 1], (place - left).to(filtered.dtype))
    return image


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
