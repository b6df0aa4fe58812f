"""Folds a scan's angles by the symmetries of the image grid, so that mirror-image rays are stored once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SYMMETRIES: NDArray[np.int64] = np.array(
    [[[1, 0], [0, 1]], [[-1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1], [1, 0]]], dtype=np.int64
)
"""(4, 2, 2) on (u, v), u to the right and v up: identity, mirror, transpose, quarter turn.

With their negatives these are the eight symmetries of the square; the first two, and their negatives, are
those of a rectangle. A symmetry S maps the ray with normal n and offset s to the one with normal S n and the
same s, so an image's integral along the latter is that of x(S .) along the former.
"""

SAME_DIRECTION = 1e-9  # two unit vectors closer than this are one direction; about the angle in radians
RARE = 0.1  # a lane group with fewer than this share of the representatives joins a larger group


@dataclass(frozen=True)
class Folding:
    """Every angle of a scan as a symmetry of a representative.

    Attributes:
        angles: (R,) the representatives, radians.
        representative: (T,) index of each angle's representative in ``angles``.
        symmetry: (T,) index in ``SYMMETRIES`` of the S that maps the representative on the angle.
        turned: (T,) True where it is -S that does: the detectors run the other way.
    """

    angles: NDArray[np.float64]
    representative: NDArray[np.int64]
    symmetry: NDArray[np.int64]
    turned: NDArray[np.bool_]


@dataclass(frozen=True)
class LaneGroup:
    """Representatives that are projected together.

    Attributes:
        symmetries: indices in ``SYMMETRIES``, ascending; each gives two lanes, S and -S.
        members: indices of the representatives.
    """

    symmetries: tuple[int, ...]
    members: NDArray[np.int64]


def fold_angles(angles: NDArray[np.float64], square: bool) -> Folding:
    """Find for each angle a representative before it that some symmetry maps on it.

    A symmetry of one representative is given away once, so that repeated angles stay separate measurements.

    Args:
        angles: (T,) radians, any range and order.
        square: whether the image may be transposed.

    Returns:
        The folding: 4 angles share a representative for k pi / N with N even and a square image, 2 for
        LoDoPaB's every fifth angle, none where the angles have no symmetry. Half of the detectors go with
        the half-turn in every case.
    """
    symmetries = SYMMETRIES if square else SYMMETRIES[:2]
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    images = np.einsum("kij,tj->tki", symmetries, normals)
    taken = np.ones(images.shape[:2], dtype=np.bool_)  # an angle that represents none has no symmetry to give
    found = np.zeros((len(angles), 3), dtype=np.int64)
    for index, normal in enumerate(normals):
        before = images[:index]
        distance = np.stack([np.abs(before - normal).max(-1), np.abs(before + normal).max(-1)])
        matches = np.argwhere((distance < SAME_DIRECTION) & ~taken[:index])
        if len(matches):
            turned, representative, symmetry = min(matches.tolist(), key=lambda match: match[1:])
        else:
            turned, representative, symmetry = 0, index, 0
            taken[index] = False
        taken[representative, symmetry] = True
        found[index] = turned, representative, symmetry
    members, representative_of = np.unique(found[:, 1], return_inverse=True)
    return Folding(angles[members], representative_of, found[:, 2], found[:, 0] == 1)


def lane_groups(folding: Folding) -> list[LaneGroup]:
    """Group representatives by the symmetries that their angles use.

    A lane is projected for all members of a group or for none. More than two symmetries count as all four,
    which leaves five possible groups; a small one joins a larger one that has its lanes, because filling the
    lanes of a group costs more than a few wasted rays.

    Args:
        folding: of the scan.

    Returns:
        Groups that hold every representative once.
    """
    used = np.zeros((len(folding.angles), len(SYMMETRIES)), dtype=np.bool_)
    used[folding.representative, folding.symmetry] = True
    used |= used.sum(axis=1, keepdims=True) > 2
    kinds, kind_of, counts = np.unique(used, axis=0, return_inverse=True, return_counts=True)
    target = np.arange(len(kinds))
    for small in np.flatnonzero(counts < RARE * len(used)):
        covering = np.flatnonzero((kinds >= kinds[small]).all(axis=1) & (counts >= RARE * len(used)))
        if len(covering):
            target[small] = covering[counts[covering].argmax()]
    group_of = target[kind_of.ravel()]
    return [
        LaneGroup(tuple(np.flatnonzero(kinds[kind]).tolist()), np.flatnonzero(group_of == kind))
        for kind in np.unique(group_of)
    ]


def lane_pixels(image_shape: tuple[int, int], symmetries: tuple[int, ...]) -> NDArray[np.int32]:
    """Say which pixel stands at each place of each lane's image x(S .).

    Args:
        image_shape: (H, W).
        symmetries: indices in ``SYMMETRIES``; lanes are S, -S of the first, S, -S of the next, and so on.

    Returns:
        (H, W, 2 * len(symmetries)) row-major pixel numbers.
    """
    height, width = image_shape
    row, column = np.indices(image_shape)
    doubled = np.stack([2 * column - (width - 1), (height - 1) - 2 * row])  # u and v without halves
    lanes = [sign * SYMMETRIES[index] for index in symmetries for sign in (1, -1)]
    u, v = np.einsum("lij,jhw->ihwl", np.stack(lanes), doubled)
    pixels = (height - 1 - v) // 2 * width + (u + width - 1) // 2
    return pixels.astype(np.int32)
