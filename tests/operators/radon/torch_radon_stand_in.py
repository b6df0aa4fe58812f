"""Both interfaces of torch-radon, as their sources document them, on the CPU: what an adapter has to cope with."""

from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F


class Scan:
    """Pixel-unit line integrals by bilinear samples, and a backprojection between detectors, over the spacing."""

    def __init__(self, angles, det_count, det_spacing, size=None):
        self.angles = torch.as_tensor(angles, dtype=torch.float32)
        self.det_count, self.det_spacing, self.size = det_count, det_spacing, size
        self.s = (torch.arange(det_count) - (det_count - 1) / 2) * det_spacing

    def forward(self, x):
        assert x.dtype == torch.float32
        assert x.is_contiguous()
        assert self.size in (None, tuple(x.shape[-2:]))
        self.size = height, width = tuple(x.shape[-2:])
        along = torch.arange(-(height + width), height + width + 1) / 2
        rows = []
        for angle in self.angles:
            u = self.s[:, None] * angle.cos() - along * angle.sin()
            v = self.s[:, None] * angle.sin() + along * angle.cos()
            grid = torch.stack([2 * u / width, -2 * v / height], dim=-1).expand(len(x), -1, -1, -1)
            rows.append(F.grid_sample(x, grid, align_corners=False).sum(dim=-1) / 2)
        return torch.stack(rows, dim=2)

    def _backproject(self, sinogram):
        assert sinogram.dtype == torch.float32
        assert sinogram.is_contiguous()
        assert self.size is not None, "Must use forward before calling backward or specify a volume"
        height, width = self.size
        u, v = np.arange(width) - (width - 1) / 2, (height - 1) / 2 - np.arange(height)[:, None]
        result = np.zeros((len(sinogram), 1, height, width))
        for t, angle in enumerate(self.angles.double().numpy()):
            seen = u * np.cos(angle) + v * np.sin(angle)
            for image, rows in zip(result, sinogram.double().numpy(), strict=True):
                image[0] += np.interp(seen, self.s.double().numpy(), rows[0, t], left=0, right=0)
        return torch.from_numpy(result / self.det_spacing).float()


class Original(Scan):
    def __init__(self, resolution, angles, det_count=-1, det_spacing=1.0, clip_to_circle=False):
        assert not clip_to_circle
        super().__init__(angles, det_count if det_count > 0 else resolution, det_spacing, (resolution, resolution))

    def backprojection(self, sinogram):
        return self._backproject(sinogram)

    backward = backprojection


class Fork(Scan):
    def __init__(self, det_count, angles, det_spacing=1.0, volume=None):
        super().__init__(angles, det_count, det_spacing, volume.size if volume is not None else None)

    def backward(self, sinogram):
        return self._backproject(sinogram)


class Volume2D:
    size = None

    def set_size(self, height, width):
        self.size = (height, width)


def stand_in(version):
    """Build the module ``torch_radon`` of either version."""
    module = ModuleType("torch_radon")
    for name, value in {"original": {"Radon": Original}, "fork": {"ParallelBeam": Fork, "Volume2D": Volume2D}}[
        version
    ].items():
        setattr(module, name, value)
    return module
