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

MaskKind = Literal["random", "equispaced", "fastmri"]
Mask = Tensor | NDArray[np.bool_] | Sequence[bool]
Seed = int | str
_Draw = Callable[[NDArray[np.bool_], int, float, Seed], NDArray[np.intp]]


def draw_columns(
    width: int, acceleration: float, center_fraction: float | None, seed: Seed, kind: MaskKind
) -> NDArray[np.bool_]:
    """Return a mask with a fully sampled centre.

    Args:
        width: W, the number of columns.
        acceleration: W / sampled columns, at least 1.
        center_fraction: share of all columns, around zero frequency, that is always sampled; by default
            0.32 / acceleration, and then at least one column (but for ``fastmri``).
        seed: of the generator that draws the rest; for ``fastmri`` also the name of a volume's file, such as
            ``file1000000.h5``, which fastMRI seeds validation masks with.
        kind: how the rest is placed. ``random``: without replacement, so that exactly round(W / acceleration)
            columns are sampled; fastMRI draws each column on its own, and has that many on average.
            ``equispaced``: every s-th column from a random offset below s on, rounded, with the spacing
            s = a (W - c) / (W - a c) that makes up for the c columns of the centre at acceleration a; as in
            fastMRI the last column is left out, and the count is right to a column or two.
            ``fastmri``: fastMRI's own random masks, column by column those of ``RandomMaskFunc`` for the same seed or
            file: each column is drawn on its own, and W / acceleration are sampled on average.

    Returns:
        (W,) bool.

    Raises:
        ValueError: for an acceleration below 1 or one that keeps no column, a centre fraction outside [0, 1]
            or above the sampled share, an unknown kind, a seed that its generator does not take, or a mask of
            ``fastmri`` that keeps no column.

    Source: Zbontar et al. 2018, Sec. 4.6, and fastMRI's ``RandomMaskFunc`` and ``EquispacedMaskFractionFunc``.
    """
    draw = _DRAWS[require_choice("kind", kind, tuple(_DRAWS))]
    if not acceleration >= 1:
        raise ValueError(f"acceleration must be at least 1, got {acceleration}")
    kept = round(width / acceleration)
    if kept < 1:
        raise ValueError(f"acceleration {acceleration} keeps none of {width} columns")
    if kind == "fastmri" and center_fraction is None:  # without the one column at least
        center_fraction = CENTER_FRACTION_TIMES_ACCELERATION / acceleration
    center = _center_columns(width, kept, acceleration, center_fraction)
    mask = np.zeros(width, dtype=np.bool_)
    first = (width - center + 1) // 2  # fastMRI's placement: zero frequency, W // 2, is always inside
    mask[first : first + center] = True
    mask[draw(mask, kept, acceleration, seed)] = True
    if not mask.any():
        raise ValueError(f"seed {seed!r} keeps none of {width} columns; another one may")
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


def _random(mask: NDArray[np.bool_], kept: int, acceleration: float, seed: Seed) -> NDArray[np.intp]:
    return _generator(seed).choice(np.flatnonzero(~mask), size=kept - int(mask.sum()), replace=False)


def _equispaced(mask: NDArray[np.bool_], kept: int, acceleration: float, seed: Seed) -> NDArray[np.intp]:
    width, center = len(mask), int(mask.sum())
    budget = width - acceleration * center
    if budget <= 0:  # the centre is all that the acceleration allows
        return np.zeros(0, dtype=np.intp)
    spacing = acceleration * (width - center) / budget
    offset = _generator(seed).integers(round(spacing))
    return np.around(np.arange(offset, width - 1, spacing)).astype(np.intp)


def _fastmri(mask: NDArray[np.bool_], kept: int, acceleration: float, seed: Seed) -> NDArray[np.intp]:
    width, center = len(mask), int(mask.sum())
    if center == width:
        return np.zeros(0, dtype=np.intp)
    if seed == "":
        raise ValueError("seed must be an integer or a file's name, got ''")
    probability = (width / acceleration - center) / (width - center)
    # fastMRI's generator, or its masks would be others. What it draws before, the pair of centre and acceleration,
    # takes nothing from the generator where there is one pair.
    generator = np.random.RandomState(tuple(map(ord, seed)) if isinstance(seed, str) else seed)
    return np.flatnonzero(generator.uniform(size=width) < probability)


def _generator(seed: Seed) -> np.random.Generator:
    if isinstance(seed, str):
        raise ValueError(f"seed must be an integer, got {seed!r}; only kind 'fastmri' takes a file's name")
    return np.random.default_rng(seed)


_DRAWS: dict[MaskKind, _Draw] = {"random": _random, "equispaced": _equispaced, "fastmri": _fastmri}


def _center_columns(width: int, kept: int, acceleration: float, fraction: float | None) -> int:
    if fraction is None:
        return max(1, round(width * CENTER_FRACTION_TIMES_ACCELERATION / acceleration))
    if not 0 <= fraction <= 1:
        raise ValueError(f"center_fraction must lie in [0, 1], got {fraction}")
    center = round(width * fraction)
    if center > kept:
        raise ValueError(f"center_fraction {fraction} asks for {center} columns, but only {kept} are kept")
    return center
