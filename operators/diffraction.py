"""Diffraction tomography: light scattered by a weakly refracting object, by the multi-slice method."""

import math

import torch
from torch import Tensor

from operators.nonlinear import NonlinearOperator
from operators.tables import ComplexTables
from operators.validation import REAL_DTYPES, require_count, require_dtype, require_image_size

PIXEL_WAVELENGTHS = 0.5
"""Side of a pixel: at half a wavelength an image holds every wave that can leave the object."""
MAX_TILT_RAD = math.pi / 4
"""Tilts of +-45 degrees from two sides see every direction once."""


class Diffraction(NonlinearOperator):
    """Scattered fields of plane waves that cross an image of refractive-index contrast from above and the left.

    A wave passes one row (or column) of pixels after the other: each delays it by a phase in proportion to the
    pixel, then it spreads freely to the next, exp(i d sqrt(k^2 - q^2)) for each of its spatial frequencies q.
    What is measured is the complex field behind the last row (or column), by interference, less the field
    without an object. It is non-linear in the image: light that was scattered once is scattered again; only for
    delays far below a radian is the first (Born) term enough. Reflections are neglected, and the image repeats
    beside itself, so that waves which leave it on one side enter on the other.

    Args:
        image_shape: (H, W) in pixels of half a wavelength.
        num_tilts: T, directions of the incident waves per side, evenly spread in angle over +-45 degrees and
            rounded to whole periods over the image; by default max(H, W) / 4, rounded up, with which there are
            about as many real measurements as pixels.
        delay: of light that crosses max(H, W) pixels of value 1, in wavelengths.

    Attributes:
        periods: (2, T) int64 buffer, periods over W of the waves from above, over H of those from the left.

    Raises:
        ValueError: for an image shape or a number of tilts that is not positive, or a delay that is not
            positive and finite.

    Source: Feit and Fleck 1978 (beam propagation); Kamilov et al. 2016, "Optical Tomographic Image Reconstruction
    Based on Beam Propagation and Sparse Regularization", IEEE Trans. Comput. Imaging 2(1), for the model of the
    measurement and the gradient by differentiating through the slices.

    Examples:
        >>> import torch
        >>> from operators import Diffraction
        >>> diffraction = Diffraction(image_shape=(16, 16))
        >>> diffraction.linear
        False
        >>> bool((diffraction(torch.zeros(1, *diffraction.image_shape)).abs() < 1e-4).all())
        True
    """

    periods: Tensor

    def __init__(self, image_shape: tuple[int, int], num_tilts: int | None = None, delay: float = 1.0) -> None:
        height, width = require_image_size(image_shape)
        tilts = -(-max(height, width) // 4) if num_tilts is None else require_count("num_tilts", num_tilts)
        if not (math.isfinite(delay) and delay > 0):
            raise ValueError(f"delay must be positive and finite, got {delay}")
        super().__init__((1, height, width), (tilts, width + height))
        self.delay_per_pixel_rad = 2 * math.pi * delay / max(height, width)
        sines = torch.sin(torch.linspace(-MAX_TILT_RAD, MAX_TILT_RAD, tilts, dtype=torch.float64))
        lengths = torch.tensor([[width], [height]])
        self.register_buffer("periods", torch.round(sines * PIXEL_WAVELENGTHS * lengths).long(), persistent=False)
        self._tables = ComplexTables(self._make_tables)

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        if len(x) == 0:  # MKL refuses an empty transform
            return x[:, 0, :1, :1] * x.new_zeros(self.data_shape, dtype=x.dtype.to_complex())
        down, across = self._tables(x)[:3], self._tables(x)[3:]
        delays = self.delay_per_pixel_rad * x[:, 0]
        return torch.cat((_cross(delays, *down), _cross(delays.mT, *across)), dim=-1)

    def _make_tables(self, device: torch.device) -> tuple[Tensor, ...]:
        height, width = self.image_shape[1:]
        from_above = _waves(self.periods[0].to(device), width, depth=height)
        return *from_above, *_waves(self.periods[1].to(device), height, depth=width)


def _cross(delays: Tensor, incident: Tensor, spread: Tensor, undisturbed: Tensor) -> Tensor:
    """Send waves (T, N) through the rows of (B, D, N) one after the other; return what is scattered, (B, T, N)."""
    screens = torch.polar(torch.ones_like(delays), delays)
    field = incident.expand(len(delays), -1, -1)
    for screen in screens.unbind(dim=1):
        field = torch.fft.ifft(torch.fft.fft(field * screen[:, None]) * spread)
    return field - undisturbed


def _waves(periods: Tensor, length: int, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the incident waves (T, N), how a row's frequencies spread to the next (N,), and the waves behind."""
    frequency = torch.fft.fftfreq(length, dtype=torch.float64, device=periods.device) / PIXEL_WAVELENGTHS
    # Per wavelength; imaginary where the wave is evanescent. The phase of the untilted wave is left out.
    along = torch.sqrt((1 - frequency.square()).to(torch.complex128)) - 1
    spread = torch.exp(2j * math.pi * PIXEL_WAVELENGTHS * along)
    turns = torch.outer(periods, torch.arange(length, device=periods.device)) % length
    incident = torch.exp(2j * math.pi * turns.double() / length)
    return incident, spread, incident * spread[periods, None] ** depth
