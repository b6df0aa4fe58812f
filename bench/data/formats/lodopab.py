"""LoDoPaB-CT: ground-truth slices of human chests, 128 per file; observations have their own module."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.base import DataError, ImageSplit, LabelledImage, Split, fit_of, spread
from bench.data.blank import blank_slices
from bench.data.formats.folder import natural_key
from bench.data.hdf5 import open_hdf5, stack_in
from bench.data.resample import fitted

KEY = "data"
SIZE = 362
ROUNDING = 1e-3
"""By how much a value may leave [0, 1] and be clipped, for sets that were resampled."""
SLICES_PER_FILE = 128
PUBLISHED_SLICES: dict[Split, int] = {"train": 35_820, "validation": 3_522, "test": 3_553}


@dataclass(frozen=True)
class CTSlice:
    """The place of one slice, and its patient."""

    path: Path
    row: int
    group: str


class LoDoPaBSplit(ImageSplit[CTSlice]):
    """Slices read one by one, averaged over areas where ``image_shape`` is below 362 x 362."""

    def _read(self, reference: CTSlice) -> LabelledImage:
        image = fitted(read_slice(reference)[None], self.image_shape, self.fit)
        return LabelledImage(
            image=torch.from_numpy(image),
            name=f"{reference.path.stem}/{reference.row}",
            group=reference.group,
        )


def open_lodopab(
    source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool = False
) -> LoDoPaBSplit:
    """Open one split of LoDoPaB-CT, or of other slices in its layout.

    A folder with as many files as LoDoPaB-CT has in this split is taken for the genuine set, and no file is
    opened: slice n is row n % 128 of file n // 128, and the number of slices is the published one, because
    the last file may be padded with zeros. In any other folder the rows of every file are counted except blank ones,
    which a logged warning names.

    Args:
        source: folder with ``ground_truth_<split>_<number>.hdf5``.
        split: which of the three parts.
        image_shape: (H, W) in pixels; (362, 362) returns the original pixels.
        count: how many slices to use, evenly spread over those that are not blank.
        seed: moves the selection.
        native: see ``OpenSplit``.

    Returns:
        Attenuation divided by 81.35858 per metre (that of 3071 HU), (1, H, W) float32 in [0, 1]. Groups are
        patients where ``index_<split>.csv`` (column ``patient``) or the genuine set's
        ``patient_ids_rand_<split>.csv`` is in the same folder, else files.

    Raises:
        DataError: if there is no file of this split, one is broken or not in this layout, all slices are blank, or
            the list of patients has another length than the split, blank slices included.

    Source: Leuschner et al. 2021, "LoDoPaB-CT, a benchmark dataset for low-dose computed tomography
    reconstruction".
    """
    return LoDoPaBSplit(select_slices(source, split, count, seed), image_shape, fit_of(split, native))


def select_slices(source: Path, split: Split, count: int, seed: int) -> list[CTSlice]:
    """Choose slices evenly over a split's files; arguments and errors as in ``open_lodopab``."""
    slices = list_slices(source, split)
    if not is_genuine(ground_truth_files(source, split), split):  # the genuine count excludes padding
        slices = [one for one in slices if one.row not in blank_slices(one.path, KEY)]
    if not slices:
        raise DataError.about(source, f"every {split} slice is blank")
    return [slices[n] for n in spread(len(slices), count, seed)]


def list_slices(source: Path, split: Split) -> list[CTSlice]:
    """List every slice of a split, including blank ones of a set other than the genuine one."""
    rows = _rows(ground_truth_files(source, split), split)
    patients = _patients(source, split, len(rows))
    return [CTSlice(*row, group=patients[n] if patients else row[0].stem) for n, row in enumerate(rows)]


def ground_truth_files(source: Path, split: Split) -> list[Path]:
    """List the ground-truth files of a split in order; errors as in ``open_lodopab``."""
    if not source.is_dir():
        raise DataError.about(source, "no such folder")
    files = sorted(source.glob(f"ground_truth_{split}_[0-9]*.hdf5"), key=natural_key)
    if not files:
        raise DataError.about(source, f"has no file ground_truth_{split}_000.hdf5")
    return files


def is_genuine(files: Sequence[Path], split: Split) -> bool:
    """Tell from the number of a split's files whether they are the published ones."""
    return len(files) == math.ceil(PUBLISHED_SLICES[split] / SLICES_PER_FILE)


def read_slice(reference: CTSlice) -> NDArray[np.float32]:
    """Read one slice at its full size: (362, 362) float32, clipped to [0, 1].

    Raises:
        DataError: if the file is missing, broken or has no such slice, or values beyond [0, 1] by more than rounding.
    """
    with open_hdf5(reference.path) as file:
        stack = stack_in(file, KEY, kind="f", path=reference.path)
        if stack.shape[1:] != (SIZE, SIZE) or reference.row >= stack.shape[0]:
            raise DataError.about(
                reference.path, f"no {SIZE}x{SIZE} slice {reference.row} in '{KEY}' {tuple(stack.shape)}"
            )
        values = np.asarray(stack[reference.row], dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise DataError.about(reference.path, f"slice {reference.row} holds values that are not finite numbers")
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError.about(
            reference.path,
            f"slice {reference.row} has values from {low:.3g} to {high:.3g}; in this format they lie in [0, 1]: "
            "attenuation divided by 81.35858 per metre",
        )
    return np.clip(values, 0, 1)


def _rows(files: list[Path], split: Split) -> list[tuple[Path, int]]:
    """List the file and row of every slice of a split."""
    if is_genuine(files, split):
        return [(files[n // SLICES_PER_FILE], n % SLICES_PER_FILE) for n in range(PUBLISHED_SLICES[split])]
    rows = []
    for path in files:
        with open_hdf5(path) as file:
            stack = stack_in(file, KEY, kind="f", path=path)
            if stack.shape[1:] != (SIZE, SIZE):
                raise DataError.about(path, f"slices must be {SIZE}x{SIZE}, '{KEY}' is {tuple(stack.shape)}")
            rows += [(path, row) for row in range(stack.shape[0])]
    return rows


def _patients(source: Path, split: Split, total: int) -> list[str] | None:
    """Return each slice's patient, or None where the folder has no list."""
    for path, column in (
        (source / f"index_{split}.csv", "patient"),
        (source / f"patient_ids_rand_{split}.csv", None),
    ):
        if not path.is_file():
            continue
        patients = _column(path, column)
        if len(patients) != total:
            raise DataError.about(path, f"lists {len(patients)} slices, but the split has {total}")
        return patients
    return None


def _column(path: Path, name: str | None) -> list[str]:
    """Read one column of a CSV file by its name, or the first where the file has no header."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = [line for line in csv.reader(stream) if line]
        position = 0 if name is None else lines.pop(0).index(name)
        return [line[position] for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise DataError.about(path, f"is not a list of patients ({error})") from error
