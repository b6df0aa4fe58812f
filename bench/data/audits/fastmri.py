"""fastMRI: every slice's k-space is read, reconstructed and compared with the published reconstruction."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bench.data.audits.base import Contents, Layout, SplitAudit, audit_splits, finite_range, told
from bench.data.base import Split
from bench.data.formats.fastmri import FOLDERS, volume_paths
from bench.data.formats.fastmri_volume import SIZE, from_k_space, k_space_of, patient_of
from bench.data.formats.folder import split_folder
from bench.data.hdf5 import open_hdf5, stack_in
from bench.data.resample import crop_centre

PUBLISHED_VOLUMES: dict[Split, int] = {"train": 973, "validation": 199, "test": 108}
TOLERANCE = 1e-3
"""Of the volume's maximum: by how much a slice may differ from the reconstruction that was published with it."""


def examine_volume(path: Path) -> Contents:
    """Read a volume completely; one that is undersampled, as the published test volumes are, has no reference."""
    with open_hdf5(path) as file:
        stack = stack_in(file, "kspace", kind="c", path=path)
        problems = list(_k_space_problems(file, stack, path))
        undersampled = "mask" in file
        if not undersampled and "reconstruction_esc" in file and not problems:
            low, high, unusable = _compare(file, path)
        else:
            magnitudes = (np.abs(stack[position]) for position in range(stack.shape[0]))
            low, high, unusable = finite_range(magnitudes, path, "slice")
        return Contents(
            images=int(stack.shape[0]),
            shape=(int(stack.shape[1]), int(stack.shape[2])),
            stored_as=f"{stack.dtype}{', undersampled' if undersampled else ''}",
            low=low,
            high=high,
            patients=frozenset({patient_of(file, path)}),
            problems=(*problems, *unusable),
        )


def _k_space_problems(file: h5py.File, stack: h5py.Dataset, path: Path) -> Iterator[str]:
    if stack.dtype != "c8":
        yield told(path, f"'kspace' must be complex64, it is {stack.dtype}")
    if min(stack.shape[1:]) < SIZE:
        yield told(path, f"'kspace' {tuple(stack.shape)} is smaller than {SIZE}x{SIZE}")
    if "ismrmrd_header" not in file:
        yield told(path, "has no 'ismrmrd_header'")
    if "reconstruction_esc" not in file and "mask" not in file:
        yield told(path, "has no array 'reconstruction_esc'")


def _compare(file: h5py.File, path: Path) -> tuple[float, float, tuple[str, ...]]:
    """Compare each slice with its published reconstruction; return range and problems of the latter."""
    reference = stack_in(file, "reconstruction_esc", kind="f", path=path)
    slices = file["kspace"].shape[0]
    if reference.dtype != "f4" or reference.shape != (slices, SIZE, SIZE):
        problem = f"must be float32 ({slices}, {SIZE}, {SIZE}), it is {reference.dtype} {tuple(reference.shape)}"
        return np.nan, np.nan, (told(path, f"'reconstruction_esc' {problem}"),)
    low, high, unusable = finite_range((reference[n] for n in range(slices)), path, "slice")
    problems = list(unusable)
    if high == 0:  # every slice is blank: there is no scale to compare on
        return low, high, unusable
    stated = file.attrs.get("max")
    if stated is not None and not np.isclose(float(stated), high, rtol=TOLERANCE):
        problems.append(told(path, f"attribute 'max' is {float(stated):.4g}, the largest value {high:.4g}"))
    for position in range(slices):
        distance = _distance(k_space_of(file, position, path), reference[position])
        if not distance <= TOLERANCE * high:
            share = f"{distance / high:.2g} of the volume's maximum"
            problems.append(told(path, f"slice {position} of 'kspace' and 'reconstruction_esc' differ by {share}"))
    return low, high, tuple(problems)


def _distance(k_space: NDArray[np.complex64], reference: NDArray[Any]) -> float:
    return float(np.abs(np.abs(crop_centre(from_k_space(k_space), (SIZE, SIZE))) - reference).max())


def _audit_split(source: Path, split: Split) -> SplitAudit:
    return SplitAudit(
        split=split,
        files=volume_paths(split_folder(source, FOLDERS[split])),
        examine=examine_volume,
        published=(PUBLISHED_VOLUMES[split], "files"),
    )


def _recognises(source: Path) -> bool:
    folders = [source / name for names in FOLDERS.values() for name in names]
    named = any(folder.is_dir() and folder.name.startswith("singlecoil") for folder in folders)
    return named or any(any(folder.glob("*.h5")) for folder in folders if folder.is_dir())


FASTMRI = Layout(
    title="fastMRI single-coil",
    looks_like="singlecoil_train/, singlecoil_val/, singlecoil_test/ (or train/, val/, test/) with .h5 volumes",
    tasks=("mri4x", "mri8x"),
    recognises=_recognises,
    audit=partial(audit_splits, _audit_split),
)
