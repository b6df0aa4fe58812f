"""Blank slices, from padding or broken copies. They have no quality and would mislead tuning."""

import logging
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.data.hdf5 import open_hdf5

_log = logging.getLogger(__name__)


def blank_slices(path: Path, key: str) -> frozenset[int]:
    """Find the slices of a file that have one value everywhere; a logged warning names them.

    Of each slice one line is read, and all of it only where that line is constant: 3 kB of a megabyte where the file
    stores slices as they are. Each process remembers what it found in a file until that changes.

    Args:
        path: the HDF5 file.
        key: name of its stack, (slices, H, W).

    Raises:
        DataError: if the file is missing or broken.
    """
    if not path.is_file():
        return frozenset()  # whoever reads a slice says so
    state = path.stat()
    return _find(path, key, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _find(path: Path, key: str, changed_ns: int, size_bytes: int) -> frozenset[int]:
    with open_hdf5(path) as file:
        stack = file[key]
        middle = stack.shape[1] // 2
        found = [n for n in range(stack.shape[0]) if np.ptp(stack[n, middle]) == 0 and np.ptp(stack[n]) == 0]
    if found:
        _log.warning("%s: blank, so left out: slice %s", path, _ranges(found))
    return frozenset(found)


def _ranges(numbers: Iterable[int]) -> str:
    """Write increasing numbers shortly: 3, 64-127."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
