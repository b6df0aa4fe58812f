"""The Radon transform as a sparse matrix: Joseph's, folded by the symmetries of the image grid."""

from collections.abc import Callable, Sequence
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.disk_cache import Arrays, cached_arrays
from operators.radon import gather_matrix, joseph
from operators.radon.gather_matrix import GatherMatrix, gather_tables
from operators.radon.joseph import ParallelBeam, joseph_matrix, pixel_ranks, ray_ranks
from operators.radon.projector import Projector
from operators.radon.symmetry import Folding, LaneGroup, fold_angles, lane_groups, lane_pixels

KEPT_BYTES = 4 * 2**20  # a smaller matrix is computed again before its file is found
CHUNK = 8  # images at once: an entry of the matrix is read once for all of them; more would spill the cache
ELEMENTS = {4: torch.float32, 8: torch.float64, 16: torch.complex128}  # by size in bytes


class MatrixProjector(Projector):
    """Gathers with the matrix's rows and with its transpose's, on any device that PyTorch has.

    Only rays of a fundamental set are stored, an eighth of them for angles k pi / N with N even and a square
    image; flips and transposes of the image, lanes of one batched product, give the others. Forward and
    adjoint use the same weights, and both gather: they are exact transposes and repeat bit by bit.

    Args:
        geometry: image and detectors.
        angles: (T,) radians.

    Attributes:
        groups: the stored rays, by the symmetries that they are used under.
    """

    _slot_of_ray: Tensor
    _ray_of_slot: Tensor

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64]) -> None:
        super().__init__(geometry, angles)
        height, width = geometry.image_shape
        folding = fold_angles(angles, square=height == width)
        groups = lane_groups(folding)
        members = [FoldedRays(geometry, folding.angles[group.members], group.symmetries) for group in groups]
        self.groups = nn.ModuleList(members)
        self._slot_counts = [group.num_slots for group in members]
        slots = _ray_slots(folding, groups, geometry.num_detectors).ravel()
        rays = np.full(sum(self._slot_counts), slots.size)  # an unused slot reads the zero behind the rays
        rays[slots] = np.arange(slots.size)
        self.register_buffer("_slot_of_ray", torch.from_numpy(slots), persistent=False)
        self.register_buffer("_ray_of_slot", torch.from_numpy(rays), persistent=False)

    def project(self, x: Tensor) -> Tensor:
        """Apply A by gathering the pixels of every ray."""
        return _in_chunks(x, self._project, self.data_shape)

    def project_back(self, y: Tensor) -> Tensor:
        """Apply A^T by gathering the rays of every pixel."""
        return _in_chunks(y, self._project_back, self.image_shape)

    def _project(self, x: Tensor) -> Tensor:
        slots = torch.cat([group.project(x) for group in self._folded()])
        return _select_rows(slots, self._slot_of_ray)

    def _project_back(self, y: Tensor) -> Tensor:
        slots = _select_rows(torch.cat([y, y.new_zeros(1, y.shape[1])]), self._ray_of_slot)
        parts = zip(self._folded(), slots.split(self._slot_counts), strict=True)
        return reduce(torch.add, [group.project_back(part) for group, part in parts])

    def _folded(self) -> "list[FoldedRays]":
        return cast("list[FoldedRays]", list(self.groups))


class FoldedRays(nn.Module):
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
        # Built when first used: many users need shapes alone, and few need float64, which takes twice the memory.
        self._single: GatherMatrix | None = None
        self._double: GatherMatrix | None = None

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
            if self._single is None:
                self._single = self._build(torch.float32).to(like.device)
            return self._single
        if self._double is None:
            self._double = self._build(torch.float64).to(like.device)
        return self._double

    def _build(self, dtype: torch.dtype) -> GatherMatrix:
        def compute() -> Arrays:
            return gather_tables(joseph_matrix(self.geometry, self.angles), dtype)

        return GatherMatrix(cached_arrays(_digest(self.geometry, self.angles, dtype), compute, min_bytes=KEPT_BYTES))


def _digest(geometry: ParallelBeam, angles: NDArray[np.float64], dtype: torch.dtype) -> str:
    """Name a matrix by all that it depends on: geometry, precision, numpy's cosines, and the code that fills it."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (joseph, gather_matrix)]
    return sha256(b"".join([repr((geometry, dtype, np.__version__)).encode(), angles.tobytes(), *sources])).hexdigest()


def _in_chunks(batch: Tensor, apply: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    """Apply a map of columns (N, b) -> (M, b) to a batch (B, ...), giving (B, *shape)."""
    columns = [apply(chunk.flatten(1).t()) for chunk in batch.split(CHUNK)]
    return torch.cat([column.t() for column in columns]).view(-1, *shape)


def _select_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Pick rows of a table (N, b), where possible as one element each, which is three times as fast."""
    element = ELEMENTS.get(table.element_size() * table.shape[1])
    if element is None or len(table) == 1:  # one row passes for contiguous as it lies in the caller's memory
        return table.contiguous().index_select(0, rows)
    wide = table.contiguous().view(element).squeeze(1)
    return wide.index_select(0, rows).view(table.dtype).view(len(rows), -1)


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
