"""fastMRI's k-space at its full measured width, for reconstructions that are cropped afterwards."""

from pathlib import Path

import numpy as np
import torch

from bench.data.base import ImageSplit, MeasuredImage, Split
from bench.data.formats.fastmri import Volume, select_slices
from bench.data.formats.fastmri_volume import SIZE, from_k_space, k_space_of, require_scale, volume_peak
from bench.data.hdf5 import open_hdf5
from bench.data.resample import crop_centre


class KSpaceSplit(ImageSplit[tuple[Volume, int]]):
    """Slices with all of their k-space, read one by one."""

    def _read(self, reference: tuple[Volume, int]) -> MeasuredImage:
        volume, position = reference
        peak = volume_peak(volume.path)
        with open_hdf5(volume.path) as file:
            k_space = k_space_of(file, position, volume.path) / np.float32(peak)
        # The constant phase comes from the centre of k-space, which every mask samples (see bench.data.phase).
        height, width = k_space.shape
        k_space *= np.exp(-1j * np.angle(k_space[height // 2, width // 2]))
        image = crop_centre(from_k_space(k_space), self.image_shape)
        require_scale(image, volume.path, position)
        return MeasuredImage(
            image=torch.from_numpy(np.stack([image.real, image.imag])),
            name=f"{volume.path.stem}/{position}",
            group=volume.group,
            measurements=torch.from_numpy(k_space),
            file=volume.path.name,
        )


def open_k_space(source: Path, split: Split, *, count: int, seed: int) -> KSpaceSplit:
    """Open one split of single-coil volumes with what the scanner measured.

    Args:
        source: folder in fastMRI's layout; see ``bench.data.formats.fastmri.open_fastmri`` for it, for the split that
            stands in for undersampled test volumes, and for errors.
        split: which part of it.
        count: how many slices to use, evenly spread over the volumes.
        seed: moves the selection.

    Returns:
        The reference image as fastMRI crops it, (2, 320, 320) float32, and its k-space (H, W) complex64 at the
        volume's own size (640 x 368 or 640 x 372 and others), both divided by the volume's largest magnitude
        within the crop. An image reconstructed from the k-space is (H, W) too: crop it afterwards.
    """
    return KSpaceSplit(select_slices(source, split, count, seed), (SIZE, SIZE))
