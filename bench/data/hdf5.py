"""Open HDF5 files; every problem becomes one line that names the file."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from bench.data.base import DataError

MOST_SLICES, MOST_SIDE = 100_000, 4096
MOST_CHUNK_BYTES = 512 * 2**20
"""A chunk is inflated as a whole, however little of it is read."""
MOST_INFLATION = 1100
"""Deflated zeros shrink to a 1,032nd; what shrinks further was never written."""
_ERRORS = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py raises for damaged files, by what is damaged."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for the time of one read; readers keep none open, so that worker processes share none.

    Args:
        path: the HDF5 file.

    Raises:
        DataError: if it is missing, truncated or no HDF5 file, also when that shows only while reading.
    """
    if not path.is_file():
        raise DataError.about(path, "no such file")
    try:
        # What overflows or is nan shows as such; NumPy's own warnings would name a line of code.
        with h5py.File(str(path), "r") as file, np.errstate(over="ignore", invalid="ignore"):
            yield file
    except DataError:
        raise
    except _ERRORS as error:
        raise DataError.about(path, f"cannot be read as HDF5 ({error})") from error


def stack_in(file: h5py.File, key: str, *, kind: str, path: Path) -> h5py.Dataset:
    """Find a stack of slices in an open file, and check what reading it costs before anything is read.

    Args:
        file: the open file.
        key: name of the array.
        kind: NumPy's kind of number: ``"f"`` or ``"c"``.
        path: what to call the file.

    Returns:
        The array, (slices, H, W), still on disk.

    Raises:
        DataError: if the file has no data set of that name, or the data set is empty, has other axes or another kind of
            number, is larger than any image, or lies in another file: a file must not choose which others are read.
    """
    if not isinstance(file.get(key, getlink=True), h5py.HardLink | None):
        raise DataError.about(path, f"'{key}' is a link to elsewhere; refused")
    stack = file.get(key)
    if not isinstance(stack, h5py.Dataset):
        raise DataError.about(path, f"has no array '{key}' (it holds: {', '.join(sorted(file)) or 'nothing'})")
    if stack.is_virtual or stack.external:
        raise DataError.about(path, f"the numbers of '{key}' are in other files; refused")
    if stack.dtype.kind != kind or stack.ndim != 3 or 0 in stack.shape:
        wanted = {"f": "floating-point", "c": "complex"}[kind]
        raise DataError.about(
            path, f"'{key}' must be {wanted} (slices, H, W), it is {stack.dtype} {tuple(stack.shape)}"
        )
    if problem := _too_large(stack):
        raise DataError.about(path, f"'{key}' {tuple(stack.shape)} {problem}")
    return stack


def _too_large(stack: h5py.Dataset) -> str:
    slices, *sides = stack.shape
    if slices > MOST_SLICES or max(sides) > MOST_SIDE:
        return f"is too large; {MOST_SLICES} slices of {MOST_SIDE}x{MOST_SIDE} are the most"
    if stack.chunks and math.prod(stack.chunks) * stack.dtype.itemsize > MOST_CHUNK_BYTES:
        return f"is stored in chunks of {stack.chunks}; {MOST_CHUNK_BYTES >> 20} MiB are the most"
    stored_bytes = stack.id.get_storage_size()
    if stack.nbytes > MOST_INFLATION * stored_bytes:
        return f"would be {stack.nbytes:,} bytes, but {stored_bytes:,} are stored; is it truncated?"
    return ""
