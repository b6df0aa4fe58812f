"""One volume of fastMRI: its k-space, its scale, its patient, and how much of the crop it fills."""

from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from bench.data.base import DataError
from bench.data.hdf5 import open_hdf5, stack_in
from bench.data.resample import crop_centre

SIZE = 320
"""Side of fastMRI's crop in pixels."""
_TOLERANCE = 0.01  # by how much k-space may exceed the volume's published reconstruction


@lru_cache(maxsize=4096)
def field_of_view(path: Path) -> tuple[int, int]:
    """Find how much of the 320 x 320 crop a volume fills; cached per process.

    A frame of exact zeros around every slice of ``reconstruction_esc`` is padding: images of 256 x 256 pixels are
    padded in this layout. Measured images have noise there. A volume without that stack fills the whole crop.

    Args:
        path: the volume.

    Returns:
        (H, W) in pixels of the smallest centred box that contains every nonzero pixel.

    Raises:
        DataError: if the volume cannot be read.
    """
    with open_hdf5(path) as file:
        if "reconstruction_esc" not in file:
            return SIZE, SIZE
        stack = stack_in(file, "reconstruction_esc", kind="f", path=path)
        filled = _filled(stack[stack.shape[0] // 2])
        for position in range(stack.shape[0]):
            if filled == stack.shape[1:]:  # true of every genuine volume: one slice is enough
                break
            height, width = _filled(stack[position])
            filled = max(filled[0], height), max(filled[1], width)
    return filled


def _filled(image: NDArray[np.float32]) -> tuple[int, int]:
    """Return the (H, W) of the smallest centred box that contains every nonzero pixel."""
    sides = []
    for axis, size in ((1, image.shape[0]), (0, image.shape[1])):
        rows = np.flatnonzero(np.any(image, axis=axis))
        margin = min(rows[0], size - 1 - rows[-1]) if len(rows) else size // 2
        sides.append(int(size - 2 * margin))
    return sides[0], sides[1]


@lru_cache(maxsize=4096)
def volume_peak(path: Path) -> float:
    """Find the largest magnitude of a volume within the 320 x 320 crop; cached per process.

    Args:
        path: the volume; its ``reconstruction_esc`` gives the figure if present, else every slice is reconstructed.

    Raises:
        DataError: if the volume cannot be read, or is zero everywhere.
    """
    with open_hdf5(path) as file:
        if "reconstruction_esc" in file:
            stack = stack_in(file, "reconstruction_esc", kind="f", path=path)
            peak = float(np.max([stack[position].max() for position in range(stack.shape[0])]))
        else:
            slices = stack_in(file, "kspace", kind="c", path=path).shape[0]
            peak = max(float(np.abs(image_in(file, position, path)).max()) for position in range(slices))
    if not (np.isfinite(peak) and peak > 0):
        raise DataError.about(path, f"the volume's largest magnitude is {peak}")
    return peak


def require_scale(image: NDArray[np.complexfloating], path: Path, position: int) -> float:
    """Return the largest magnitude of a scaled slice, 1 for the brightest slice of a volume.

    Args:
        image: (320, 320), divided by the volume's peak.
        path: the volume, for the message.
        position: the slice, for the message.

    Raises:
        DataError: if it exceeds 1 by more than 1 %: k-space and published reconstruction contradict each other.
    """
    magnitude = float(np.abs(image).max())
    if magnitude > 1 + _TOLERANCE:
        raise DataError.about(path, f"slice {position} is {magnitude:.3g} times the maximum of 'reconstruction_esc'")
    return magnitude


def k_space_of(file: h5py.File, position: int, path: Path) -> NDArray[np.complex64]:
    """Read one slice's k-space at its full size: (H, W), neither side below 320."""
    stack = stack_in(file, "kspace", kind="c", path=path)
    if min(stack.shape[1:]) < SIZE or position >= stack.shape[0]:
        raise DataError.about(path, f"no slice {position} of at least {SIZE}x{SIZE} in 'kspace' {tuple(stack.shape)}")
    return np.asarray(stack[position], dtype=np.complex64)


def from_k_space(k_space: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Reconstruct a fully sampled slice: the inverse of the centred unitary transform, (H, W)."""
    centred = np.fft.ifft2(np.fft.ifftshift(k_space), norm="ortho")
    return np.asarray(np.fft.fftshift(centred), dtype=np.complex64)


def image_in(file: h5py.File, position: int, path: Path) -> NDArray[np.complex64]:
    """Reconstruct one slice at the full width of its k-space, then crop: (320, 320)."""
    return crop_centre(from_k_space(k_space_of(file, position, path)), (SIZE, SIZE))


def patient_of(file: h5py.File, path: Path) -> str:
    """Return the patient's id, or the file's name where the volume has none."""
    patient = file.attrs.get("patient_id", path.stem)
    return patient.decode() if isinstance(patient, bytes) else str(patient)
