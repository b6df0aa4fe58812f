"""Disk cache for arrays that take long to compute, keyed by their inputs."""

import os
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER_VARIABLE = "RECONSTRUCTION_CACHE_DIR"
FOLDER_NAME = "reconstruction-benchmark"
MAX_BYTES = 2 * 2**30  # of the folder

Arrays = dict[str, NDArray[np.generic]]


def cached_arrays(key: str, build: Callable[[], Arrays], *, min_bytes: int = 0) -> Arrays:
    """Read arrays that an earlier call built, or build them and write them.

    The folder is the environment variable ``RECONSTRUCTION_CACHE_DIR``, by default ``reconstruction-benchmark`` in the
    user's cache folder; set it to an empty string to keep nothing. Files are written aside and renamed, so that
    no process sees half of one; a file that is damaged is built anew, and a folder that can't be written is
    not. Files that were not read for longest are deleted beyond 2 GiB; the whole folder may be at any time.

    Args:
        key: hexadecimal digest of everything that the arrays depend on, the code included.
        build: computes them.
        min_bytes: what is smaller is not kept, since it is computed again before a file is found.

    Returns:
        Name -> array.
    """
    folder = cache_folder()
    if folder is None:
        return build()
    path = folder / f"{key}.npz"
    arrays = _read(path)
    if arrays is None:
        arrays = build()
        if sum(array.nbytes for array in arrays.values()) >= min_bytes:
            _write(path, arrays)
    return arrays


def discard_arrays(key: str) -> None:
    """Delete what is kept of a key, so that the next call builds it anew; a folder that is not ours stays as it is."""
    folder = cache_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / f"{key}.npz").unlink(missing_ok=True)


def cache_folder() -> Path | None:
    """Return the folder that matrices are kept in, which may not exist yet, or None where it is turned off."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / FOLDER_NAME
    except RuntimeError:  # a user without a home
        return None


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
            arrays = {name: npz[name] for name in npz.files}  # reading checks the zip's checksums
        os.utime(path)  # read last: deleted last
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(aside, path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        _delete_oldest(path)
    except OSError:
        return  # full, or not ours to write: a cache may fail


def _delete_oldest(kept: Path) -> None:
    files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in kept.parent.iterdir())
    excess = sum(size for _, size, _ in files) - MAX_BYTES
    for _, size, file in files:
        if excess > 0 and file != kept:
            file.unlink(missing_ok=True)
            excess -= size
