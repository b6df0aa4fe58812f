"""Which columns of k-space a Cartesian scan samples, after fastMRI."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.validation import require_choice

CENTER_FRACTION_TIMES_ACCELERATION = 0.32
"""fastMRI's pairs: 8 % of the columns at 4x, 4 % at 8x (Zbontar et al. 2018, Sec. 4.6)."""

MaskKind = Literal["random", "equispaced"]
Mask = Tensor | NDArray[np.bool_] | Sequence[bool]
_Draw = Callable[[NDArray[np.bool_], int, float, np.random.Generator], NDArray[np.intp]]


def draw_columns(
    width: int, acceleration: float, center_fraction: float | None, seed: int, kind: MaskKind
) -> NDArray[np.bool_]:
    """Return a mask with a fully sampled centre.

    Args:
        width: W, the number of columns.
        acceleration: W / sampled columns, at least 1.
        center_fraction: share of all columns, around zero frequency, that is always sampled; by default
            0.32 / acceleration, and then at least one column.
        seed: of the generator that draws the rest.
        kind: how the rest is placed. ``random``: without replacement, so that exactly round(W / acceleration)
            columns are sampled; fastMRI draws each column on its own, and has that many on average.
            ``equispaced``: every s-th column from a random offset below s on, rounded, with the spacing
            s = a (W - c) / (W - a c) that makes up for the c columns of the centre at acceleration a; as in
            fastMRI the last column is left out, and the count is right to a column or two.

    Returns:
        (W,) bool.

    Raises:
        ValueError: for an acceleration below 1 or one that keeps no column, a centre fraction outside [0, 1]
            or above the sampled share, or an unknown kind.

    Source: Zbontar et al. 2018, Sec. 4.6, and fastMRI's ``RandomMaskFunc`` and ``EquispacedMaskFractionFunc``.
    """
    draw = _DRAWS[require_choice("kind", kind, tuple(_DRAWS))]
    if not acceleration >= 1:
        raise ValueError(f"acceleration must be at least 1, got {acceleration}")
    kept = round(width / acceleration)
    if kept < 1:
        raise ValueError(f"acceleration {acceleration} keeps none of {width} columns")
    center = _center_columns(width, kept, acceleration, center_fraction)
    mask = np.zeros(width, dtype=np.bool_)
    first = (width - center + 1) // 2  # fastMRI's placement: zero frequency, W // 2, is always inside
    mask[first : first + center] = True
    mask[draw(mask, kept, acceleration, np.random.default_rng(seed))] = True
    return mask


def require_mask(mask: Mask, width: int) -> Tensor:
    """Return a copy of a mask.

    Raises:
        ValueError: unless it is (W,) bool with at least one column sampled.
    """
    columns = torch.as_tensor(mask).clone()
    if columns.dtype != torch.bool or columns.shape != (width,):
        shape, dtype = tuple(columns.shape), columns.dtype
        raise ValueError(f"mask must be bool of shape ({width},), got {dtype} of shape {shape}")
    if not columns.any():
        raise ValueError("mask keeps no column")
    return columns


def _random(mask: NDArray[np.bool_], kept: int, acceleration: float, rng: np.random.Generator) -> NDArray[np.intp]:
    return rng.choice(np.flatnonzero(~mask), size=kept - int(mask.sum()), replace=False)


def _equispaced(mask: NDArray[np.bool_], kept: int, acceleration: float, rng: np.random.Generator) -> NDArray[np.intp]:
    width, center = len(mask), int(mask.sum())
    budget = width - acceleration * center
    if budget <= 0:  # the centre is all that the acceleration allows
        return np.zeros(0, dtype=np.intp)
    spacing = acceleration * (width - center) / budget
    offset = rng.integers(round(spacing))
    return np.around(np.arange(offset, width - 1, spacing)).astype(np.intp)


_DRAWS: dict[MaskKind, _Draw] = {"random": _random, "equispaced": _equispaced}


def _center_columns(width: int, kept: int, acceleration: float, fraction: float | None) -> int:
    if fraction is None:
        return max(1, round(width * CENTER_FRACTION_TIMES_ACCELERATION / acceleration))
    if not 0 <= fraction <= 1:
        raise ValueError(f"center_fraction must lie in [0, 1], got {fraction}")
    center = round(width * fraction)
    if center > kept:
        raise ValueError(f"center_fraction {fraction} asks for {center} columns, but only {kept} are kept")
    return center
