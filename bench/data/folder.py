"""Photographs in a folder: ``train/``, ``val/`` or ``validation/``, ``test/`` with JPEG or PNG files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.data.base import DataError, ImageSplit, LabelledImage, Split, spread
from bench.data.resample import crop_to_aspect, resize

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("val", "validation"),
    "test": ("test",),
}
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Photo:
    """Where one photograph is, and what it is called within its split."""

    path: Path
    name: str


class PhotoSplit(ImageSplit[Photo]):
    """Photographs read one by one from disk, centre-cropped to the wanted aspect ratio, then resized.

    Every photograph is its own group. One smaller than ``image_shape`` is enlarged linearly.
    """

    def _read(self, reference: Photo) -> LabelledImage:
        image = resize(crop_to_aspect(read_rgb(reference.path), self.image_shape), self.image_shape)
        return LabelledImage(
            image=torch.from_numpy(np.ascontiguousarray(image)), name=reference.name, group=reference.name
        )


def open_folder(source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int) -> PhotoSplit:
    """Open one split of an image folder.

    Sub-folders are searched too; hidden files and other suffixes are ignored.

    Args:
        source: folder that holds ``train/``, ``val/`` or ``validation/``, and ``test/``.
        split: which of them to read.
        image_shape: (H, W) in pixels of the images handed out.
        count: how many photographs to use, evenly spread over the naturally sorted files.
        seed: moves the selection.

    Returns:
        RGB images, (3, H, W) float32 in [0, 1].

    Raises:
        DataError: if the folder of the split is missing or holds no photograph.
    """
    folder = split_folder(source, FOLDERS[split])
    paths = sorted((p for p in folder.rglob("*") if _is_photo(p, folder)), key=natural_key)
    if not paths:
        raise DataError.about(folder, "no .jpg, .jpeg or .png file in this folder")
    photos = [Photo(paths[i], paths[i].relative_to(folder).as_posix()) for i in spread(len(paths), count, seed)]
    return PhotoSplit(photos, image_shape)


def split_folder(source: Path, names: Sequence[str]) -> Path:
    """Find the folder of a split.

    Args:
        source: the data set's folder.
        names: the names the split's folder may have.

    Raises:
        DataError: if there is no such folder.
    """
    if not source.is_dir():
        raise DataError.about(source, "no such folder")
    for name in names:
        if (source / name).is_dir():
            return source / name
    raise DataError.about(source, f"has no sub-folder {' or '.join(f'{name}/' for name in names)}")


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts ``img2`` before ``img10``."""
    parts = re.split(r"([0-9]+)", path.as_posix())  # text and digits alternate, text first
    return [(int(part), "") if position % 2 else (0, part) for position, part in enumerate(parts)]


def read_rgb(path: Path) -> NDArray[np.float32]:
    """Read one photograph, upright, without its transparency.

    Args:
        path: a JPEG or PNG file; grey and palette images become RGB.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        DataError: if the file is missing, truncated, or no image (a saved HTML page is called one).
    """
    try:
        with path.open("rb") as stream:
            if stream.read(256).lstrip()[:1] == b"<":
                raise DataError.about(path, "is an HTML page, not an image (a download quota notice?)")
        with Image.open(path) as photo:
            return _to_rgb(ImageOps.exif_transpose(photo))
    except DataError:
        raise
    except _PILLOW_ERRORS as error:
        raise DataError.about(path, f"cannot be read as an image ({error})") from error


def _to_rgb(photo: Image.Image) -> NDArray[np.float32]:
    if photo.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion to RGB would clip it at 255
        grey = np.asarray(photo, dtype=np.float32) / np.float32(65535)
        return np.repeat(grey[None], 3, axis=0)
    pixels = np.asarray(photo.convert("RGB"), dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _is_photo(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
