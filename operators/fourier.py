"""Subsampled Fourier transform: single-coil Cartesian MRI."""

import torch
from torch import Tensor

from operators.base import LinearOperator
from operators.blocks import num_blocks
from operators.masks import Mask, MaskKind, Seed, draw_columns, require_mask
from operators.tables import ComplexTables
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype, require_image_size

FEWEST_IMAGES = 2
"""Of a block: MKL transforms a single image in another order, and so rounds it in another way."""


class SubsampledFourier(LinearOperator):
    """Centred unitary 2-D Fourier transform of a complex image, of which whole columns are kept.

    A x = M F (x[0] + i x[1]) with F = fftshift . fft2(norm="ortho") . ifftshift over the last two axes, and
    M a mask over the last axis (the phase encodes). Columns outside the mask are zero after A, and A^H ignores their
    values. Precision is kept: float32 gives complex64, float64 gives complex128.

    Nothing is shifted: a shift before a transform is a phase after it and the other way round. Rows are
    transformed first, then the kept columns alone, multiplied by those phases (signs for even sizes).

    Args:
        image_shape: (H, W) in pixels.
        acceleration: W / kept columns, at least 1.
        center_fraction: share of all W columns, around zero frequency, that is always kept; by default
            0.32 / acceleration, and then at least one column.
        seed: of the generator that draws the other columns; of kind ``fastmri`` also a volume's file name.
        mask: (W,) bool, used in place of a drawn one; the other arguments are then ignored.
        kind: how the other columns are placed, ``random``, ``equispaced`` or as fastMRI's own random masks,
            ``fastmri``; see ``draw_columns``.

    Attributes:
        sampling_mask: (W,) bool buffer, True where a column is kept.

    Raises:
        ValueError: for an image shape that is not positive, a mask that is not (W,) bool with at least one
            column kept, or what ``draw_columns`` refuses.

    Source: LUSER, Sec. 4.1 ("2-dimensional Fourier transform", 4x and 8x, columns); the centre from fastMRI
    (Zbontar et al. 2018), whose column placement is followed.

    Examples:
        >>> import torch
        >>> from operators import SubsampledFourier
        >>> fourier = SubsampledFourier(image_shape=(32, 32), acceleration=4)
        >>> k_space = fourier(torch.rand(1, 2, 32, 32))
        >>> k_space.shape, k_space.dtype
        (torch.Size([1, 32, 32]), torch.complex64)
        >>> int(fourier.sampling_mask.sum())
        8
    """

    sampling_mask: Tensor
    _columns: Tensor
    _natural_mask: Tensor
    _natural_columns: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int],
        acceleration: float = 4,
        center_fraction: float | None = None,
        seed: Seed = 0,
        mask: Mask | None = None,
        kind: MaskKind = "random",
    ) -> None:
        height, width = require_image_size(image_shape)
        super().__init__((2, height, width), (height, width))
        if mask is None:
            columns = torch.from_numpy(draw_columns(width, acceleration, center_fraction, seed, kind))
        else:
            columns = require_mask(mask, width)
        # "Natural" is the FFT's own order, zero frequency first.
        kept = columns.nonzero()[:, 0]
        self.register_buffer("sampling_mask", columns, persistent=False)
        self.register_buffer("_columns", kept, persistent=False)
        self.register_buffer("_natural_mask", torch.fft.ifftshift(columns), persistent=False)
        self.register_buffer("_natural_columns", (kept - width // 2) % width, persistent=False)
        self._shifts = ComplexTables(self._make_shifts)

    def _forward(self, x: Tensor) -> Tensor:
        if len(x) == 0:  # MKL refuses an empty transform
            return _as_complex(x)
        count = num_blocks(x, FEWEST_IMAGES)
        if count == 1:
            return self._transform(x)
        k_space = x.new_zeros((len(x), *self.data_shape), dtype=x.dtype.to_complex())
        for block, target in zip(x.tensor_split(count), k_space.tensor_split(count), strict=True):
            self._transform(block, target)
        return k_space

    def _transform(self, x: Tensor, k_space: Tensor | None = None) -> Tensor:
        """Transform images (b, 2, H, W); the kept columns go into zeros, if these are given."""
        rows = torch.fft.fft(_as_complex(x), norm="ortho")
        before, after, _, _ = self._shifts(rows)
        kept = rows.gather(-1, self._columns_of(rows, self._natural_columns)).mul_(before)
        del rows  # the cache holds its memory, which is used again
        kept = torch.fft.fft(kept, dim=-2, norm="ortho").mul_(after)
        k_space = kept.new_zeros((len(x), *self.data_shape)) if k_space is None else k_space
        return k_space.scatter_(-1, self._columns_of(k_space, self._columns), kept)

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, COMPLEX_DTYPES, "k-space")
        if len(y) == 0:
            return _as_channels(y)
        count = num_blocks(y, FEWEST_IMAGES)
        if count == 1:
            return _as_channels(self._transform_back(y))
        image = y.new_empty((len(y), *self.image_shape), dtype=y.dtype.to_real())
        for block, target in zip(y.tensor_split(count), image.tensor_split(count), strict=True):
            target.copy_(torch.view_as_real(self._transform_back(block)).movedim(-1, 1))
        return image

    def _transform_back(self, y: Tensor) -> Tensor:
        _, _, before, after = self._shifts(y)
        kept = y.gather(-1, self._columns_of(y, self._columns)).mul_(after)
        kept = torch.fft.ifft(kept, dim=-2, norm="ortho").mul_(before)
        rows = torch.zeros_like(y).scatter_(-1, self._columns_of(y, self._natural_columns), kept)
        return torch.fft.ifft(rows, norm="ortho")

    @staticmethod
    def _columns_of(images: Tensor, columns: Tensor) -> Tensor:
        """Index the columns in every row; on the CPU gathering and scattering take half of index_select's time."""
        return columns.expand(*images.shape[:-1], len(columns))

    def _gramian(self, x: Tensor) -> Tensor:
        # Columns and all shifts cancel: rows are transformed, masked and transformed back.
        if len(x) == 0:
            return x
        rows = torch.fft.fft(_as_complex(x)).mul_(self._natural_mask)
        return _as_channels(torch.fft.ifft(rows))

    def _make_shifts(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return what kept columns are multiplied by before and after their transform, and the conjugates.

        These are (H, K) and (H, 1), then (H, K) and (H, 1) for the adjoint.
        """
        height, width = self.data_shape
        row = torch.arange(height, device=device)[:, None]
        column = self._columns.to(device) - width // 2
        shifts = _phase(row, height) * _phase(column, width), _phase(row - height // 2, height)
        return *shifts, *(shift.conj().resolve_conj() for shift in shifts)


def _phase(index: Tensor, size: int) -> Tensor:
    """Return exp(2 pi i index (size // 2) / size), complex128: what a shift of size // 2 is on the other side."""
    turns = (index * (size // 2) % size).double() / size
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def _as_complex(x: Tensor) -> Tensor:
    require_dtype(x, REAL_DTYPES, "image")
    return torch.complex(x[:, 0], x[:, 1])


def _as_channels(image: Tensor) -> Tensor:
    return torch.stack((image.real, image.imag), dim=1)
