"""Subsampled Fourier transform: single-coil Cartesian MRI."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.base import LinearOperator
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype, require_image_size

CENTER_FRACTION_TIMES_ACCELERATION = 0.32
"""fastMRI's pairs: 8 % of the columns at 4x, 4 % at 8x (Zbontar et al. 2018, Sec. 4.6)."""

Mask = Tensor | NDArray[np.bool_] | Sequence[bool]


class SubsampledFourier(LinearOperator):
    """Centred unitary 2-D Fourier transform of a complex image, of which whole columns are kept.

    A x = M F (x[0] + i x[1]) with F = fftshift . fft2(norm="ortho") . ifftshift over the last two axes, and
    M a mask over the last axis (the phase encodes). Columns outside the mask are zero after A, and A^H
    ignores what stands in them. Precision is kept: float32 gives complex64, float64 gives complex128.

    Args:
        image_shape: (H, W) in pixels.
        acceleration: W / kept columns, at least 1; exactly round(W / acceleration) columns are kept.
        center_fraction: share of all W columns, around zero frequency, that is always kept; by default
            0.32 / acceleration, and then at least one column.
        seed: of the generator that draws the other columns, without replacement.
        mask: (W,) bool, used in place of a drawn one; the three arguments above are then ignored.

    Attributes:
        sampling_mask: (W,) bool buffer, True where a column is kept.

    Raises:
        ValueError: for an image shape that is not positive, an acceleration below 1 or one that keeps no
            column, a centre fraction outside [0, 1] or above the kept share, or a mask that is not (W,)
            bool with at least one column kept.

    Source: LUSER, Sec. 4.1 ("2-dimensional Fourier transform", 4x and 8x, columns); the centre from fastMRI
    (Zbontar et al. 2018), whose column placement is followed.
    """

    sampling_mask: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int],
        acceleration: float = 4,
        center_fraction: float | None = None,
        seed: int = 0,
        mask: Mask | None = None,
    ) -> None:
        height, width = require_image_size(image_shape)
        super().__init__((2, height, width), (height, width))
        if mask is None:
            columns = torch.from_numpy(_draw_columns(width, acceleration, center_fraction, seed))
        else:
            columns = _require_mask(mask, width)
        self.register_buffer("sampling_mask", columns, persistent=False)

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        return _centred(torch.fft.fft2, torch.complex(x[:, 0], x[:, 1])) * self.sampling_mask

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, COMPLEX_DTYPES, "k-space")
        image = _centred(torch.fft.ifft2, y * self.sampling_mask)
        return torch.stack((image.real, image.imag), dim=1)


def _centred(transform: Callable[..., Tensor], batch: Tensor) -> Tensor:
    """Apply a unitary 2-D transform about the centre of the last two axes of (B, H, W)."""
    if len(batch) == 0:  # MKL refuses an empty transform
        return batch
    shifted = torch.fft.ifftshift(batch, dim=(-2, -1))
    return torch.fft.fftshift(transform(shifted, norm="ortho"), dim=(-2, -1))


def _draw_columns(width: int, acceleration: float, center_fraction: float | None, seed: int) -> NDArray[np.bool_]:
    if not acceleration >= 1:
        raise ValueError(f"acceleration must be at least 1, got {acceleration}")
    kept = round(width / acceleration)
    if kept < 1:
        raise ValueError(f"acceleration {acceleration} keeps none of {width} columns")
    center = _center_columns(width, kept, acceleration, center_fraction)
    mask = np.zeros(width, dtype=np.bool_)
    first = (width - center + 1) // 2  # fastMRI's placement: zero frequency, W // 2, is always inside
    mask[first : first + center] = True
    others = np.flatnonzero(~mask)
    mask[np.random.default_rng(seed).choice(others, size=kept - center, replace=False)] = True
    return mask


def _center_columns(width: int, kept: int, acceleration: float, fraction: float | None) -> int:
    if fraction is None:
        return max(1, round(width * CENTER_FRACTION_TIMES_ACCELERATION / acceleration))
    if not 0 <= fraction <= 1:
        raise ValueError(f"center_fraction must lie in [0, 1], got {fraction}")
    center = round(width * fraction)
    if center > kept:
        raise ValueError(f"center_fraction {fraction} asks for {center} columns, but only {kept} are kept")
    return center


def _require_mask(mask: Mask, width: int) -> Tensor:
    columns = torch.as_tensor(mask).clone()
    if columns.dtype != torch.bool or columns.shape != (width,):
        shape, dtype = tuple(columns.shape), columns.dtype
        raise ValueError(f"mask must be bool of shape ({width},), got {dtype} of shape {shape}")
    if not columns.any():
        raise ValueError("mask keeps no column")
    return columns
