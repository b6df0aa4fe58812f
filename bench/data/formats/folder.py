"""Photographs in a folder: ``train/``, ``val/`` or ``validation/``, ``test/`` with JPEG or PNG files."""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from bench.data.archive import Member, is_html
from bench.data.base import DataError, ImageSplit, LabelledImage, Split, fit_of, spread
from bench.data.resample import crop_to_aspect, fitted

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("val", "validation"),
    "test": ("test",),
}
_log = logging.getLogger(__name__)
_FORMATS = ("JPEG", "PNG")
"""What Pillow may take a file for, whatever it is called: each further decoder is one more that may have a hole."""


@dataclass(frozen=True)
class Photo:
    """The place of one photograph, and its name within its split.

    Attributes:
        path: the file, or its path if its archive were unpacked.
        name: unique within the split.
        member: its place in the archive; None for a separate file.
    """

    path: Path
    name: str
    member: Member | None = None

    def read(self) -> NDArray[np.float32]:
        """Read the photograph: (3, H, W) float32 in [0, 1]; raises ``DataError`` as ``read_rgb`` does."""
        if self.member is None:
            return read_rgb(self.path)
        with self.member.open(self.name) as stream:
            return decode_rgb(stream, self.path)

    def shape(self) -> tuple[int, int]:
        """Return its (H, W) in pixels, upright, from the file's header; raises ``DataError`` as ``read_rgb`` does."""
        opened = _stream(self.path) if self.member is None else self.member.open(self.name)
        with opened as stream, _photo_in(stream, self.path) as photo:
            turned = photo.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
            return (photo.width, photo.height) if turned else (photo.height, photo.width)


class PhotoSplit(ImageSplit[Photo]):
    """Photographs read one by one from disk; before resizing, one is cropped to the wanted aspect ratio.

    Every photograph is its own group. Where images are resized, one smaller than ``image_shape`` is enlarged linearly.
    """

    def _read(self, reference: Photo) -> LabelledImage:
        image = reference.read()
        if self.fit == "resize":
            image = crop_to_aspect(image, self.image_shape)
        image = fitted(image, self.image_shape, self.fit)
        return LabelledImage(
            image=torch.from_numpy(np.ascontiguousarray(image)), name=reference.name, group=reference.name
        )


def open_folder(
    source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool = False
) -> PhotoSplit:
    """Open one split of an image folder.

    Sub-folders are searched too; hidden files and other suffixes are ignored.

    Args:
        source: folder that holds ``train/``, ``val/`` or ``validation/``, and ``test/``.
        split: which of them to read.
        image_shape: (H, W) in pixels of the returned images.
        count: how many photographs to use, evenly spread over the naturally sorted files.
        seed: moves the selection.
        native: see ``OpenSplit``.

    Returns:
        RGB images, (3, H, W) float32 in [0, 1].

    Raises:
        DataError: if the folder of the split is missing or holds no photograph, or none that is large enough.
    """
    photos = list_photos(source, split)
    return photo_split([photos[i] for i in spread(len(photos), count, seed)], split, image_shape, native)


def photo_split(photos: list[Photo], split: Split, image_shape: tuple[int, int], native: bool) -> PhotoSplit:
    """Make a split of photographs; native ones that are too small are left out, and a logged warning names them.

    Raises:
        DataError: if none is left.
    """
    if not native:
        return PhotoSplit(photos, image_shape)
    height, width = image_shape
    large = []
    for photo in photos:
        own_height, own_width = photo.shape()
        if own_height >= height and own_width >= width:
            large.append(photo)
        else:
            _tell_of_small(photo.path, photo.name, image_shape)
    if not large:
        raise DataError.about(photos[0].path.parent, f"no {split} photograph has {height}x{width} pixels or more")
    return PhotoSplit(large, image_shape, fit_of(split, native))


@lru_cache(maxsize=4096)  # one warning per process, which opens a split for every cell
def _tell_of_small(path: Path, name: str, image_shape: tuple[int, int]) -> None:
    _log.warning("%s: left out, smaller than %dx%d pixels", name, *image_shape)


def list_photos(source: Path, split: Split) -> list[Photo]:
    """Find every photograph of a split, naturally sorted; see ``open_folder``."""
    folder = split_folder(source, FOLDERS[split])
    paths = sorted((p for p in folder.rglob("*") if _is_photo(p, folder)), key=natural_key)
    if not paths:
        raise DataError.about(folder, "no .jpg, .jpeg or .png file in this folder")
    return [Photo(path, path.relative_to(folder).as_posix()) for path in paths]


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
        DataError: if the file is missing, truncated, no JPEG or PNG file whatever its name (a saved HTML page is called
            one), or has too many pixels.
    """
    with _stream(path) as stream:
        return decode_rgb(stream, path)


def decode_rgb(stream: BinaryIO, path: Path) -> NDArray[np.float32]:
    """Decode one photograph; see ``read_rgb``.

    Args:
        stream: open at the photograph's first byte.
        path: the photograph's name in messages.
    """
    with _photo_in(stream, path) as photo:
        return _to_rgb(ImageOps.exif_transpose(photo))


def _stream(path: Path) -> BinaryIO:
    try:
        if not path.is_file():  # a pipe would never end
            raise FileNotFoundError("No such file")
        return path.open("rb")
    except OSError as error:
        raise DataError.about(path, f"cannot be read as an image ({error})") from error


@contextmanager
def _photo_in(stream: BinaryIO, path: Path) -> Iterator[Image.Image]:
    """Open a photograph for as long as the block runs; whatever is wrong with it becomes a ``DataError``.

    One of more than ``PIL.Image.MAX_IMAGE_PIXELS`` pixels, 89 million, is refused before it is decoded.
    """
    if is_html(stream.read(256)):
        raise DataError.about(path, "is an HTML page, not an image (a download quota notice?)")
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and the like, which do not change the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=_FORMATS) as photo:
                yield photo
    except UnidentifiedImageError as error:
        raise DataError.about(path, "cannot be read as an image (it is neither JPEG nor PNG)") from error
    except Exception as error:  # of damaged bytes Pillow's decoders raise whatever they meet
        raise DataError.about(path, f"cannot be read as an image ({str(error) or type(error).__name__})") from error


def _to_rgb(photo: Image.Image) -> NDArray[np.float32]:
    # A grey PNG of 16 bits, which some versions of Pillow hand out in 32; its own conversion to RGB would clip at 255.
    if photo.mode.startswith("I"):
        grey = np.asarray(photo, dtype=np.float32) / np.float32(65535)
        return np.repeat(grey[None], 3, axis=0)
    pixels = np.asarray(photo.convert("RGB"), dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _is_photo(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
