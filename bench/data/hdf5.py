"""Open HDF5 files; every problem becomes one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from bench.data.base import DataError


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
        with h5py.File(str(path), "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError.about(path, f"cannot be read as HDF5 ({error})") from error


def stack_in(file: h5py.File, key: str, *, kind: str, path: Path) -> h5py.Dataset:
    """Find a stack of slices in an open file.

    Args:
        file: the open file.
        key: name of the array.
        kind: NumPy's kind of number: ``"f"`` or ``"c"``.
        path: what to call the file.

    Returns:
        The array, (slices, H, W), still on disk.

    Raises:
        DataError: if there is none of that name, or it is empty, has other axes or another kind of number.
    """
    stack = file.get(key)
    if not isinstance(stack, h5py.Dataset):
        raise DataError.about(path, f"has no array '{key}' (it holds: {', '.join(sorted(file)) or 'nothing'})")
    if stack.dtype.kind != kind or stack.ndim != 3 or 0 in stack.shape:
        wanted = {"f": "floating-point", "c": "complex"}[kind]
        raise DataError.about(
            path, f"'{key}' must be {wanted} (slices, H, W), it is {stack.dtype} {tuple(stack.shape)}"
        )
    return stack
