"""The Radon transform as a pair of fused Triton kernels for CUDA: forward by rays, adjoint by pixels."""

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from operators.radon.joseph import ParallelBeam
from operators.radon.projector import Projector

FIXED_POINT = 2.0**32  # positions on an image line are int64: pixel in the upper half, fraction in the lower
MAX_REACH = 2.0**30  # pixels from the image's edge that these can express
MAX_SHARED = 8  # images that share one computation of a ray's pixels and weights
BLOCKS = (64, 128, 256)  # rays or pixels per program
INTERPRETED = bool(triton.knobs.runtime.interpret)


@triton.jit
def _split(position, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Pixel at or before a fixed-point position, and the fraction of a pixel that is left; both without rounding."""
    fraction = (position & 0xFFFFFFFF).to(tl.uint32).to(DTYPE) * (1.0 / 4294967296.0)
    return (position >> 32).to(tl.int32), fraction


@triton.jit
def _weight_at(pixel, position, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Weight that a pixel of an image line has in the interpolation at a fixed-point position."""
    lower, fraction = _split(position, DTYPE)
    return tl.where(lower == pixel, 1 - fraction, tl.where(lower == pixel - 1, fraction, 0.0))


@triton.jit
def _load_rays(angle):  # type: ignore[no-untyped-def]
    """One row of _fixed_point_rays."""
    return tl.load(angle), tl.load(angle + 1), tl.load(angle + 2), tl.load(angle + 3) != 0


@triton.jit
def _first_detector(distance, per_detector, slack):  # type: ignore[no-untyped-def]
    """First detector whose ray may cross within a pixel of a point this far from detector 0's ray.

    A float is enough, and faster than a division of long integers: the weights are then found by integers.
    """
    nearest = distance.to(tl.float32) / per_detector.to(tl.float32)
    return tl.ceil(nearest - 4294967296.0 / tl.abs(per_detector.to(tl.float32)) - slack).to(tl.int32)


@triton.jit
def _forward_kernel(  # type: ignore[no-untyped-def]
    images,  # (B, 2, H * W): each as it is, and transposed, so that neighbouring rays read neighbours
    sinograms,  # (B, T, D)
    rays,  # (T, 4): see _fixed_point_rays
    lengths,  # (T,) of a step
    batch,
    height,
    width,
    num_angles,
    num_detectors,
    DTYPE: tl.constexpr,
    SHARED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    angle = tl.program_id(0)
    detector = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    member = (tl.program_id(2) * SHARED + tl.arange(0, SHARED)).to(tl.int64)[:, None]
    start, per_detector, per_line, along_rows = _load_rays(rays + 4 * angle)
    lines, size = tl.where(along_rows, height, width), tl.where(along_rows, width, height)
    position = start + detector * per_detector
    source = images + (2 * member + tl.where(along_rows, 0, 1)) * height * width
    total = tl.zeros((SHARED, BLOCK), DTYPE)
    for _ in range(lines):
        lower, fraction = _split(position, DTYPE)
        address = source + lower[None, :]
        left = tl.load(address, mask=(member < batch) & ((lower >= 0) & (lower < size))[None, :], other=0.0)
        right = tl.load(address + 1, mask=(member < batch) & ((lower >= -1) & (lower < size - 1))[None, :], other=0.0)
        total += left * (1 - fraction)[None, :] + right * fraction[None, :]
        position += per_line
        source += size
    total *= tl.load(lengths + angle).to(DTYPE)
    target = sinograms + (member * num_angles + angle) * num_detectors + detector[None, :]
    tl.store(target, total, mask=(member < batch) & (detector < num_detectors)[None, :])


@triton.jit
def _adjoint_kernel(  # type: ignore[no-untyped-def]
    sinograms,  # (B, T, D)
    images,  # (B, H * W)
    rays,  # (T, 4)
    lengths,  # (T,)
    slack,  # detectors by which the search for a pixel's first ray may err
    batch,
    height,
    width,
    num_angles,
    num_detectors,
    CANDIDATES: tl.constexpr,
    DTYPE: tl.constexpr,
    SHARED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    member = (tl.program_id(1) * SHARED + tl.arange(0, SHARED)).to(tl.int64)[:, None]
    row, column = pixel // width, pixel % width
    source = sinograms + member * num_angles * num_detectors
    total = tl.zeros((SHARED, BLOCK), DTYPE)
    for angle in range(num_angles):
        start, per_detector, per_line, along_rows = _load_rays(rays + 4 * angle)
        length = tl.load(lengths + angle).to(DTYPE)
        line, across = tl.where(along_rows, row, column), tl.where(along_rows, column, row)
        first_ray = start + line * per_line  # where detector 0's ray crosses this pixel's line
        detector = _first_detector((across.to(tl.int64) << 32) - first_ray, per_detector, slack)
        position = first_ray + detector * per_detector
        for _ in range(CANDIDATES):
            weight = _weight_at(across, position, DTYPE) * length
            seen = (detector >= 0) & (detector < num_detectors) & (weight > 0)
            value = tl.load(source + detector[None, :], mask=(member < batch) & seen[None, :], other=0.0)
            total += value * weight[None, :]
            detector += 1
            position += per_detector
        source += num_detectors
    target = images + member * height * width + pixel[None, :]
    tl.store(target, total, mask=(member < batch) & (pixel < height * width)[None, :])


def _tuned(kernel: Any) -> Any:
    """Let Triton find the fastest block for each geometry, once per machine: its own cache keeps the answer."""
    if INTERPRETED:
        return kernel
    configs = [triton.Config({"BLOCK": block}, num_warps=warps) for block in BLOCKS for warps in (2, 4, 8)]
    key = ["height", "width", "num_angles", "num_detectors", "SHARED"]
    return triton.autotune(configs, key, cache_results=True)(kernel)


_tuned_forward, _tuned_adjoint = _tuned(_forward_kernel), _tuned(_adjoint_kernel)
_BLOCK_IF_UNTUNED = {"BLOCK": 32} if INTERPRETED else {}


class TritonProjector(Projector):
    """Computes Joseph's weights on the fly, the same in both directions, in one kernel each.

    A ray's crossing with an image line is a fixed-point number, so that both kernels find the very same
    weights, to 2^-32 of a pixel, whatever order they compute in. Each output is summed by one thread in a
    fixed order, without atomics: results repeat bit by bit. Nothing is stored but four integers and a step length per
    angle; the forward map keeps a transposed copy of the batch while it runs.

    Args:
        geometry: image and detectors.
        angles: (T,) radians.

    Raises:
        ValueError: if a detector lies more than 2^30 pixels away; when applied, for a batch that is not on
            the CUDA device that the operator was moved to.
    """

    _rays: Tensor
    _length_bits: Tensor

    def __init__(self, geometry: ParallelBeam, angles: NDArray[np.float64]) -> None:
        super().__init__(geometry, angles)
        steepness = np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles)))
        spacing = geometry.detector_spacing
        reach = geometry.num_detectors + sum(geometry.image_shape) / spacing  # detectors that a float must tell apart
        self._slack = max(0.01, reach * 2.0**-21)
        self._candidates = int(2 * (steepness.max() / spacing + self._slack)) + 1
        self.register_buffer("_rays", torch.from_numpy(_fixed_point_rays(geometry, angles)), persistent=False)
        bits = torch.from_numpy(geometry.pixel_size / steepness).view(torch.int64)  # so that no cast rounds them
        self.register_buffer("_length_bits", bits, persistent=False)

    def project(self, x: Tensor) -> Tensor:
        """Launch one program per angle, block of detectors and group of images."""
        self._require_device(x)
        y = x.new_empty((len(x), *self.data_shape))
        both = torch.stack([x, x.transpose(-2, -1).reshape(x.shape)], dim=1)
        shared = _shared(len(x))

        def grid(meta: dict[str, int]) -> tuple[int, int, int]:
            return len(self.angles), triton.cdiv(y.shape[-1], meta["BLOCK"]), triton.cdiv(len(x), shared)

        with torch.cuda.device_of(x):
            _tuned_forward[grid](both, y, *self._arguments(x), SHARED=shared, **_BLOCK_IF_UNTUNED)
        return y

    def project_back(self, y: Tensor) -> Tensor:
        """Launch one program per block of pixels and group of images."""
        self._require_device(y)
        x = y.new_empty((len(y), *self.image_shape))
        rays, lengths, *sizes = self._arguments(y)
        shared = _shared(len(y))

        def grid(meta: dict[str, int]) -> tuple[int, int]:
            return triton.cdiv(x[0].numel(), meta["BLOCK"]), triton.cdiv(len(y), shared)

        with torch.cuda.device_of(y):
            _tuned_adjoint[grid](
                y.contiguous(), x, rays, lengths, self._slack, *sizes[:-1], self._candidates, sizes[-1],
                SHARED=shared, **_BLOCK_IF_UNTUNED,
            )  # fmt: skip
        return x

    def _arguments(self, like: Tensor) -> tuple[Any, ...]:
        height, width = self.geometry.image_shape
        dtype = tl.float32 if like.dtype == torch.float32 else tl.float64
        sizes = len(like), height, width, len(self.angles), self.geometry.num_detectors
        return self._rays, self._length_bits.view(torch.float64), *sizes, dtype

    def _require_device(self, batch: Tensor) -> None:
        home = self._rays.device
        if batch.device != home or not (batch.is_cuda or INTERPRETED):
            raise ValueError(
                f"backend 'triton' computes on CUDA; its tables are on {home}, the batch on {batch.device}"
            )


def _shared(batch: int) -> int:
    return min(MAX_SHARED, int(triton.next_power_of_2(batch)))


def _fixed_point_rays(geometry: ParallelBeam, angles: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where rays cross the image's lines: (T, 4).

    Ray j crosses line i, a row of pixels or, where it is flatter than 45 degrees, a column, at start +
    j * per_detector + i * per_line, counted in 2^-32 pixels along that line. The fourth number says whether
    lines are rows.
    """
    height, width = geometry.image_shape
    cos, sin = np.cos(angles), np.sin(angles)
    along_rows = np.abs(cos) >= np.abs(sin)
    spacing = geometry.detector_spacing
    s = -(geometry.num_detectors - 1) / 2 * spacing
    divisor = np.where(along_rows, cos, -sin)
    start = np.where(
        along_rows,
        (s - (height - 1) / 2 * sin) / divisor + (width - 1) / 2,
        (s + (width - 1) / 2 * cos) / divisor + (height - 1) / 2,
    )
    per_line = np.where(along_rows, sin, -cos) / divisor
    if np.abs(start).max() + geometry.num_detectors * spacing * 2 > MAX_REACH:
        raise ValueError(f"backend 'triton' takes detectors at most 2^30 pixels away, got {np.abs(start).max():.3g}")
    table = np.stack([start, spacing / divisor, per_line], axis=-1) * FIXED_POINT
    return np.concatenate([np.rint(table).astype(np.int64), along_rows[:, None]], axis=1)
