"""Radon transform of parallel-beam CT, by Joseph's method folded by the symmetries of the image grid."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.base import LinearOperator
from operators.joseph import GatherMatrix, ParallelBeam, joseph_matrix, pixel_ranks, ray_ranks
from operators.symmetry import Folding, LaneGroup, fold_angles, lane_groups, lane_pixels
from operators.validation import REAL_DTYPES, require_count, require_dtype, require_image_size

DEFAULT_NUM_ANGLES = 200  # LUSER, Sec. 4.1
CHUNK = 4  # images at once: eight lanes of them fill two cache lines; more images spill the cache

Angles = Tensor | NDArray[np.floating] | Sequence[float]


class Radon(LinearOperator):
    """Line integrals of an image along parallel rays, (B, 1, H, W) -> (B, 1, T, D).

    Detector j of angle t measures the ray u cos t + v sin t = s_j about the image's centre, u to the right
    and v up, s_j = (j - (D - 1) / 2) * detector_spacing. So angle 0 sums along the image's columns, and row t
    of the sinogram is column t of ``skimage.transform.radon`` at ``numpy.degrees(t)`` (whose centre is pixel
    N // 2, half a pixel off for even N).

    Only rays of a fundamental set are stored, an eighth of them for angles k pi / N with N even and a square
    image; flips and transposes of the image, lanes of one batched product, give the others. This is found
    from the angles, to 1e-9 rad (so pass float64); angles without any symmetry only share the half-turn,
    which reverses the detectors. Forward and adjoint use the same weights, and both gather: they are exact
    transposes and repeat bit by bit.

    Args:
        image_shape: (H, W) in pixels.
        num_angles: T; the angles are k pi / T unless ``angles`` says otherwise. By default 200.
        num_detectors: D; by default the image diagonal in pixels, rounded up to an odd number (513 at 362).
        angles: (T,) radians, in any order and range.
        detector_spacing: in pixels; by default the D detectors tile the image diagonal, as in LoDoPaB-CT.
        pixel_size: side of a pixel in the unit of length that line integrals are wanted in.

    Attributes:
        angles: (T,) float64, radians.
        geometry: image, detectors and pixel size.

    Raises:
        ValueError: for sizes, counts or spacings that are not positive, or angles that are not a non-empty
            finite vector or not ``num_angles`` many.

    Source: Joseph 1982; geometry of LoDoPaB-CT (Leuschner et al. 2021).
    """

    _slot_of_ray: Tensor
    _ray_of_slot: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int],
        num_angles: int | None = None,
        num_detectors: int | None = None,
        angles: Angles | None = None,
        detector_spacing: float | None = None,
        pixel_size: float = 1.0,
    ) -> None:
        height, width = require_image_size(image_shape)
        directions = _require_angles(angles, num_angles)
        diagonal = math.hypot(height, width)
        detectors = require_count(
            "num_detectors", math.ceil(diagonal) // 2 * 2 + 1 if num_detectors is None else num_detectors
        )
        spacing = diagonal / detectors if detector_spacing is None else detector_spacing
        super().__init__((1, height, width), (1, len(directions), detectors))
        self.angles = directions
        self.geometry = ParallelBeam(
            (height, width),
            detectors,
            _require_length("detector_spacing", spacing),
            _require_length("pixel_size", pixel_size),
        )
        self._store_folding(fold_angles(directions, square=height == width))

    def _store_folding(self, folding: Folding) -> None:
        groups = lane_groups(folding)
        members = [_FoldedRays(self.geometry, folding.angles[group.members], group.symmetries) for group in groups]
        self._groups = nn.ModuleList(members)
        self._slot_counts = [group.num_slots for group in members]
        slots = _ray_slots(folding, groups, self.geometry.num_detectors).ravel()
        rays = np.full(sum(self._slot_counts), slots.size)  # an unused slot reads the zero behind the rays
        rays[slots] = np.arange(slots.size)
        self.register_buffer("_slot_of_ray", torch.from_numpy(slots), persistent=False)
        self.register_buffer("_ray_of_slot", torch.from_numpy(rays), persistent=False)

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        return _in_chunks(x, self._project, self.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, REAL_DTYPES, "sinogram")
        return _in_chunks(y, self._project_back, self.image_shape)

    def _project(self, x: Tensor) -> Tensor:
        slots = torch.cat([group.project(x) for group in self._folded()])
        return _select_rows(slots, self._slot_of_ray)

    def _project_back(self, y: Tensor) -> Tensor:
        slots = _select_rows(F.pad(y, (0, 0, 0, 1)), self._ray_of_slot)
        parts = zip(self._folded(), slots.split(self._slot_counts), strict=True)
        return reduce(torch.add, [group.project_back(part) for group, part in parts])

    def _folded(self) -> "list[_FoldedRays]":
        return cast("list[_FoldedRays]", list(self._groups))


class _FoldedRays(nn.Module):
    """The rays of some representative angles with s >= 0, applied to several mirror images of the image.

    A slot is a ray in a lane: number (row of the matrix) * lanes + lane.

    Args:
        geometry: image and detectors.
        angles: (R,) representatives, radians.
        symmetries: each gives two lanes.
    """

    _table: Tensor
    _places: Tensor
    _rank: Tensor

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64], symmetries: tuple[int, ...]) -> None:
        super().__init__()
        self.geometry, self.angles, self.num_lanes = geometry, angles, 2 * len(symmetries)
        self.num_slots = len(angles) * len(geometry.offsets) * self.num_lanes
        rank = pixel_ranks(geometry.image_shape).ravel()
        table = np.empty((rank.size, self.num_lanes), dtype=np.int32)  # which pixel each lane shows, in order
        table[rank] = lane_pixels(geometry.image_shape, symmetries).reshape(table.shape)
        places = np.empty_like(table)  # where in that table, flattened, each pixel stands, in the same order
        entries = np.arange(table.size, dtype=np.int32).reshape(table.shape)
        np.put_along_axis(places, rank[table], entries, axis=0)
        for name, values in (("_table", table.ravel()), ("_places", places), ("_rank", rank)):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)
        self._single = self._build(torch.float32)
        self._double: GatherMatrix | None = None  # twice the memory, mostly for tests: built when first used

    def project(self, x: Tensor) -> Tensor:
        """Project images.

        Args:
            x: (H * W, B), row-major pixels.

        Returns:
            (num_slots, B).
        """
        table = _select_rows(x, self._table).view(-1, self.num_lanes * x.shape[1])
        return self._matrix(x).times(table).view(-1, x.shape[1])

    def project_back(self, slots: Tensor) -> Tensor:
        """Apply the transpose of ``project``.

        Args:
            slots: (num_slots, B), zero where a slot is unused.

        Returns:
            (H * W, B).
        """
        table = slots.view(-1, self.num_lanes * slots.shape[1])
        lanes = self._matrix(slots).transposed_times(table).view(-1, slots.shape[1])
        return _select_rows(F.embedding_bag(self._places, lanes, mode="sum"), self._rank)

    def _matrix(self, like: Tensor) -> GatherMatrix:
        if like.dtype == torch.float32:
            return self._single
        if self._double is None:
            self._double = self._build(torch.float64).to(like.device)
        return self._double

    def _build(self, dtype: torch.dtype) -> GatherMatrix:
        return GatherMatrix(joseph_matrix(self.geometry, self.angles), dtype)


def _in_chunks(batch: Tensor, apply: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    """Apply a map of columns (N, b) -> (M, b) to a batch (B, ...), giving (B, *shape)."""
    if len(batch) == 0:
        return batch.new_zeros((0, *shape))
    columns = [apply(chunk.flatten(1).t()) for chunk in batch.split(CHUNK)]
    return torch.cat([column.t() for column in columns]).view(-1, *shape)


def _select_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Pick rows of a table (N, b); one column is picked from as a vector, which is three times as fast."""
    return table.contiguous().squeeze(1).index_select(0, rows).view(len(rows), table.shape[1])


def _ray_slots(folding: Folding, groups: Sequence[LaneGroup], num_detectors: int) -> NDArray[np.int64]:
    """Say in which slot, counted through all groups, the ray of each angle and detector stands: (T, D)."""
    twice_s = 2 * np.arange(num_detectors) - (num_detectors - 1)
    offset, negative = np.abs(twice_s) // 2, twice_s < 0
    num_offsets = (num_detectors + 1) // 2
    slots = np.empty((len(folding.symmetry), num_detectors), dtype=np.int64)
    first = 0
    for group in groups:
        position = np.searchsorted(group.members, folding.representative)
        ours = np.isin(folding.representative, group.members)
        rows = ray_ranks(len(group.members), num_offsets)[position[ours]][:, offset]
        pair = np.searchsorted(group.symmetries, folding.symmetry[ours])
        turned = folding.turned[ours, None] ^ negative
        num_lanes = 2 * len(group.symmetries)
        slots[ours] = first + rows.astype(np.int64) * num_lanes + 2 * pair[:, None] + turned
        first += len(group.members) * num_offsets * num_lanes
    return slots


def _require_angles(angles: Angles | None, num_angles: int | None) -> NDArray[np.float64]:
    if angles is None:
        count = DEFAULT_NUM_ANGLES if num_angles is None else require_count("num_angles", num_angles)
        return np.arange(count, dtype=np.float64) * (np.pi / count)
    given = angles.detach().cpu().numpy() if isinstance(angles, Tensor) else angles
    values = np.array(given, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"angles must be a non-empty finite vector, got shape {values.shape}")
    if num_angles is not None and num_angles != values.size:
        raise ValueError(f"num_angles is {num_angles}, but {values.size} angles were given")
    return values


def _require_length(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)
