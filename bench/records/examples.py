"""Figure 2's images of one accuracy cell as a file: a small .npz, read with suspicion. Never imports torch."""

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bench.records.files import MOST_BYTES

EXAMPLE_KEYS = ("start", "reconstruction", "truth")


def pack_example(arrays: dict[str, NDArray[np.float32]]) -> bytes:
    """Return the file's content.

    Args:
        arrays: per key of ``EXAMPLE_KEYS``, (C, H, W) float arrays in [0, 1]; kept as float16.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{key: arrays[key].astype(np.float16) for key in EXAMPLE_KEYS})
    return buffer.getvalue()


def unpack_example(content: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a file, (C, H, W) float32.

    Raises:
        ValueError: if it is no such file, or an array is of another type or shape, or larger than 64 MiB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {key: _array(_member(archive, f"{key}.npy")).astype(np.float32) for key in EXAMPLE_KEYS}
    except Exception as error:  # a broken archive ends in a dozen kinds of errors
        raise ValueError(str(error) or type(error).__name__) from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if name not in archive.namelist():
        raise ValueError(f"no {name}")
    info = archive.getinfo(name)
    # Python inflates other methods without a bound.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.file_size > MOST_BYTES:
        raise ValueError(f"{name} is not deflated, or larger than {MOST_BYTES // 2**20} MiB")
    with archive.open(info) as member:
        return member.read(MOST_BYTES)


def _array(content: bytes) -> NDArray[Any]:
    """Read an array by its header, whose claims are checked before anything of that size is made."""
    file = io.BytesIO(content)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
    shape, columns_first, dtype = read_header(file)
    if dtype.kind != "f" or len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"arrays must be floats of shape (C, H, W), found {dtype} {shape}")
    body = content[file.tell() :]
    if len(body) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(body)} bytes for {dtype} {shape}")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if columns_first else "C")
