"""fastMRI single-coil volumes: measured k-space, turned into complex images of 320 x 320 pixels."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from bench.data.base import DataError, ImageSplit, LabelledImage, Split, spread
from bench.data.blank import blank_slices
from bench.data.formats.fastmri_volume import SIZE, field_of_view, image_in, patient_of, require_scale, volume_peak
from bench.data.formats.folder import natural_key, split_folder
from bench.data.hdf5 import open_hdf5, stack_in
from bench.data.phase import reference_phase
from bench.data.resample import fitted

FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("singlecoil_train", "train"),
    "validation": ("singlecoil_val", "val", "validation"),
    "test": ("singlecoil_test", "test"),
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Volume:
    """One file: its slices belong to one patient."""

    path: Path
    slices: int
    group: str


class FastMRISplit(ImageSplit[tuple[Volume, int]]):
    """Slices reconstructed one by one from their full k-space; a volume's outer slices are used too."""

    def _read(self, reference: tuple[Volume, int]) -> LabelledImage:
        volume, position = reference
        peak = volume_peak(volume.path)
        with open_hdf5(volume.path) as file:
            image = image_in(file, position, volume.path) / peak
        magnitude = require_scale(image, volume.path, position)
        channels = reference_phase(image) / np.float32(max(magnitude, 1))
        return LabelledImage(
            image=torch.from_numpy(fitted(channels, self.image_shape, self.fit)),
            name=f"{volume.path.stem}/{position}",
            group=volume.group,
        )


def open_fastmri(
    source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool = False
) -> FastMRISplit:
    """Open one split of single-coil volumes in fastMRI's layout.

    The genuine set's test volumes are undersampled and have no reference. Where the test folder is missing
    or holds such volumes, the validation folder's patients are divided instead: every second one, in the order of their
    names, is in the test split, the others are in the validation split.

    Args:
        source: folder with ``singlecoil_train/``, ``singlecoil_val/``, ``singlecoil_test/``, or ``train/``,
            ``val/``, ``test/``; hidden files and files other than ``.h5`` are skipped with a logged warning.
        split: which of them to read.
        image_shape: (H, W) in pixels; (320, 320) returns fastMRI's own crop.
        count: how many slices to use, evenly spread over the volumes' slices; blank ones are left out, and a logged
            warning names them.
        seed: moves the selection.
        native: whether images are cropped instead of resized, in every split; ``native_shape`` excludes padding.

    Returns:
        Real and imaginary part, (2, H, W) float32, divided by the volume's maximum magnitude and rotated to a mean
        phase of zero. Groups are the volumes' ``patient_id``, or their names where they have none.

    Raises:
        DataError: if a folder is missing or has no volume, a volume is broken or undersampled, or all slices are blank.

    Source: Zbontar et al. 2018, "fastMRI: an open dataset and benchmarks for accelerated MRI".
    """
    return FastMRISplit(select_slices(source, split, count, seed), image_shape, "centre" if native else "resize")


def select_slices(source: Path, split: Split, count: int, seed: int) -> list[tuple[Volume, int]]:
    """Choose slices evenly over a split's volumes; arguments and errors as in ``open_fastmri``."""
    volumes = _volumes_of(source, split)
    slices = [
        (volume, position)
        for volume in volumes
        for position in sorted(set(range(volume.slices)) - blank_slices(volume.path, "kspace"))
    ]
    if not slices:
        raise DataError.about(source, f"every {split} slice is blank")
    return [slices[i] for i in spread(len(slices), count, seed)]


def native_shape(source: Path, wanted: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W), at most ``wanted``, that contains every volume of a folder; errors as for readers."""
    paths = {volume.path for split in get_args(Split) for volume in _volumes_of(source, split)}
    heights, widths = zip(*map(field_of_view, sorted(paths)), strict=True)
    if not max(heights):
        raise DataError.about(source, "every 'reconstruction_esc' is zero")
    return min(wanted[0], max(heights)), min(wanted[1], max(widths))


def _volumes_of(source: Path, split: Split) -> list[Volume]:
    if split == "train":
        return _volumes(split_folder(source, FOLDERS["train"]))
    test = next((source / name for name in FOLDERS["test"] if (source / name).is_dir()), None)
    if test is not None and not _is_undersampled(volume_paths(test)[0]):
        return _volumes(test if split == "test" else split_folder(source, FOLDERS["validation"]))
    folder = split_folder(source, FOLDERS["validation"])
    volumes = _volumes(folder)
    tested = set(sorted({volume.group for volume in volumes})[1::2])
    chosen = [volume for volume in volumes if (volume.group in tested) == (split == "test")]
    if not chosen:
        raise DataError.about(folder, "one patient cannot be shared between validation and test; add a test folder")
    _log.info("%s: no test volume with a reference, so its patients are shared with the test split", folder)
    return chosen


def _volumes(folder: Path) -> list[Volume]:
    """Read the header of every volume of a folder."""
    volumes = []
    for path in volume_paths(folder):
        with open_hdf5(path) as file:
            stack = stack_in(file, "kspace", kind="c", path=path)
            if min(stack.shape[1:]) < SIZE:
                raise DataError.about(path, f"'kspace' {tuple(stack.shape)} is smaller than {SIZE}x{SIZE}")
            if "mask" in file:
                raise DataError.about(path, "'kspace' is already undersampled, so it has no ground truth")
            volumes.append(Volume(path, stack.shape[0], patient_of(file, path)))
    return volumes


def volume_paths(folder: Path) -> list[Path]:
    """List the ``.h5`` volumes of a folder in natural order; other files are skipped with a logged warning."""
    paths = []
    for path in sorted(folder.iterdir(), key=natural_key):
        if path.suffix == ".h5" and path.is_file() and not path.name.startswith("."):
            paths.append(path)
        else:
            _log.warning("%s: skipped, not an .h5 volume", path)
    if not paths:
        raise DataError.about(folder, "no .h5 volume in this folder")
    return paths


def _is_undersampled(path: Path) -> bool:
    with open_hdf5(path) as file:
        return "mask" in file
