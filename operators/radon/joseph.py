"""Joseph's method as a sparse matrix, with rows and columns in a cache-friendly order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

TILE = 8  # pixels; a tile of eight images in eight lanes, 16 KiB, stays in the first-level cache
RAY_BLOCK = 16  # detectors; neighbouring angles then find a block's strip of pixels still in the cache
GOLDEN_RATIO = 0.5 * (5**0.5 - 1)


@dataclass(frozen=True)
class ParallelBeam:
    """The detector half of a parallel-beam geometry; angles are given apart.

    Attributes:
        image_shape: (H, W) in pixels.
        num_detectors: D.
        detector_spacing: distance of neighbouring detectors, in pixels.
        pixel_size: side of a pixel, in the unit that line integrals are wanted in.
    """

    image_shape: tuple[int, int]
    num_detectors: int
    detector_spacing: float
    pixel_size: float

    @property
    def offsets(self) -> NDArray[np.float64]:
        """Distances (ceil(D / 2),) in pixels of the detectors with s >= 0 from the centre of rotation."""
        half = np.arange((self.num_detectors + 1) // 2, dtype=np.float64)
        return (half + (0.5 if self.num_detectors % 2 == 0 else 0.0)) * self.detector_spacing


def joseph_matrix(geometry: ParallelBeam, angles: NDArray[np.float64]) -> sparse.csr_matrix:
    """Build the system matrix of the rays with s >= 0, with rows and columns in an order kind to caches.

    The ray (angle, s) is u cos(angle) + v sin(angle) = s, with u to the right and v up from the image's
    centre. It steps from pixel row to pixel row, or from column to column where it is flatter than 45
    degrees, and takes the linear interpolation between the two nearest pixels times the length of a step.

    Args:
        geometry: image and detectors.
        angles: (R,) radians.

    Returns:
        (R * len(offsets), H * W) float64 in the unit of ``pixel_size``. Row ``ray_ranks(...)[angle, offset]``
        is a ray's, column ``pixel_ranks(...)[row, column]`` a pixel's.

    Source: Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE TMI 1982.
    """
    rank = pixel_ranks(geometry.image_shape).ravel()
    entries = [_ray_entries(geometry, float(angle)) for angle in angles]
    counts, pixels, weights = (np.concatenate(part) for part in zip(*entries, strict=True))
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = sparse.csr_matrix((weights, rank[pixels], starts), shape=(len(counts), rank.size))
    return matrix[np.argsort(ray_ranks(len(angles), len(geometry.offsets)).ravel())]


def _ray_entries(
    geometry: ParallelBeam, angle: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Non-zeros of one angle's rays: how many a ray has, their row-major pixels, their weights."""
    height, width = geometry.image_shape
    cos, sin = np.cos(angle), np.sin(angle)
    along_rows = abs(cos) >= abs(sin)
    steps, size = (height, width) if along_rows else (width, height)
    step = np.arange(steps)
    centred = step - (steps - 1) / 2
    if along_rows:  # v = -centred; solve the ray's equation for u, counted from the left
        position = (geometry.offsets[:, None] + centred * sin) / cos + (width - 1) / 2
    else:  # u = centred; solve it for v, counted from the top
        position = (height - 1) / 2 - (geometry.offsets[:, None] - centred * cos) / sin
    lower = np.floor(position)
    fraction = position - lower
    length = geometry.pixel_size / max(abs(cos), abs(sin))
    weights = np.stack([1 - fraction, fraction], axis=-1) * length
    crossed = np.stack([lower, lower + 1], axis=-1)
    inside = (crossed >= 0) & (crossed < size)
    crossed = np.where(inside, crossed, 0).astype(np.int32)
    line = step.astype(np.int32)[:, None]
    pixels = line * np.int32(width) + crossed if along_rows else crossed * np.int32(width) + line
    return inside.sum(axis=(1, 2)), pixels[inside], weights[inside]


def pixel_ranks(image_shape: tuple[int, int]) -> NDArray[np.int32]:
    """Number pixels tile by tile, the mirror images of a tile one after the other.

    A tile is a few cache lines that neighbouring rays share. Mirror images of a pixel are added up in the
    adjoint, and together they lie on equally many rays: any share of this order is the same work.

    Args:
        image_shape: (H, W).

    Returns:
        (H, W), each number once.
    """
    height, width = image_shape
    row, column = np.indices(image_shape)
    up, right = (height - 1) - 2 * row, 2 * column - (width - 1)
    tile_up, tile_right = np.abs(up) // (2 * TILE), np.abs(right) // (2 * TILE)
    orbit = np.maximum(tile_up, tile_right), np.minimum(tile_up, tile_right)
    image = tile_up > tile_right, up > 0, right > 0
    order = np.lexsort([key.ravel() for key in (column, row, *image, *reversed(orbit))])
    return _inverse(order).reshape(image_shape)


def ray_ranks(num_angles: int, num_offsets: int) -> NDArray[np.int32]:
    """Number rays so that strips of neighbouring detectors come together, angle after angle.

    Args:
        num_angles: R.
        num_offsets: detectors with s >= 0.

    Returns:
        (R, num_offsets), each number once.
    """
    angle, offset = np.indices((num_angles, num_offsets))
    order = np.lexsort([x.ravel() for x in (offset, angle, _spread(offset // RAY_BLOCK))])
    return _inverse(order).reshape(num_angles, num_offsets)


def _spread(block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber blocks by a golden-ratio walk.

    Threads take contiguous shares of the rays, and rays get shorter steadily towards the outer detectors:
    this way each share holds blocks from everywhere, and the threads end together.
    """
    walk = np.arange(block.max() + 1) * GOLDEN_RATIO % 1.0
    return _inverse(np.argsort(walk))[block].astype(np.int64)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int32]:
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank
