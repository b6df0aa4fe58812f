"""Windows of CT slices that are measured within the whole slice's scan."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.tasks.windows import Measure, Windows, place
from operators.radon.transform import Radon


class ScanWindows(Windows):
    """Windows of a slice under the scan of the whole slice: its angles, detectors, noise and norm.

    A window is projected alone, by the rays of the scan that pass it. A ray's photons depend on all that it passes, so
    the whole slice is measured too, and every ray takes the noise of the scan's nearest ray. A network trained in this
    way sees the streaks, the noise and the step size of whole slices.

    Args:
        scan: A of whole slices.
        window_shape: (h, w) in pixels.
        measure: as in a ``Task``, of whole slices.
    """

    def __init__(self, scan: Radon, window_shape: tuple[int, int], measure: Measure) -> None:
        self.scan = scan
        spacing = scan.geometry.detector_spacing
        detectors = 2 * math.ceil(math.hypot(*window_shape) / spacing / 2) + 1
        operator = Radon(
            window_shape,
            num_detectors=detectors,
            angles=scan.angles,
            detector_spacing=spacing,
            pixel_size=scan.geometry.pixel_size,
        ).to(scan.device)
        operator.assume_norm(scan.norm())
        super().__init__(operator, measure)
        angles = torch.from_numpy(scan.angles)
        # Radians to bins: how far a ray moves per pixel that the window's centre moves to the right and up.
        self._directions = torch.stack((torch.cos(angles), torch.sin(angles))) / spacing

    def measure(
        self, images: Sequence[Tensor], places: torch.Generator, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cut a window out of every slice, and measure it; see ``Windows.measure``."""
        slices = torch.stack(list(images))
        grain = self._measure(self.scan, slices, noise) - self.scan(slices)
        corners = [place(image, self.shape, places) for image in images]
        height, width = self.shape
        truth = torch.stack(
            [
                image[..., top : top + height, left : left + width]
                for image, (top, left) in zip(images, corners, strict=True)
            ]
        )
        rays = torch.stack([self._rays(corner) for corner in corners]).to(grain.device)
        return truth, self.operator(truth) + grain.gather(-1, rays[:, None])

    def _rays(self, corner: tuple[int, int]) -> Tensor:
        """Return the scan's bin that is nearest to each bin of a window, (T, D) int64."""
        (height, width), (whole_height, whole_width) = self.shape, self.scan.image_shape[-2:]
        right = corner[1] + width / 2 - whole_width / 2
        up = whole_height / 2 - corner[0] - height / 2
        shift = right * self._directions[0] + up * self._directions[1]
        bins, scan_bins = self.operator.data_shape[-1], self.scan.data_shape[-1]
        centred = torch.arange(bins, dtype=torch.float64) - (bins - 1) / 2
        nearest = torch.round((scan_bins - 1) / 2 + shift[:, None] + centred).long()
        return nearest.clamp(0, scan_bins - 1)
