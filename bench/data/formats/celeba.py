"""CelebA: aligned face photographs, 178 pixels wide and 218 high, with the authors' own partition."""

import os
from collections.abc import Mapping
from pathlib import Path

from bench.data.archive import Member, is_html, list_members
from bench.data.base import DataError, Split, spread
from bench.data.formats.folder import Photo, PhotoSplit, photo_split

IMAGES = "img_align_celeba"
ARCHIVE = f"{IMAGES}.zip"
PARTITION = "list_eval_partition.txt"
CODES: dict[str, Split] = {"0": "train", "1": "validation", "2": "test"}
IMAGE_SHAPE = (218, 178)
_MOST_BYTES = 100 * 2**20
"""Of the partition list, whose published version has four megabytes."""
PUBLISHED_IMAGES: dict[Split, int] = {"train": 162_770, "validation": 19_867, "test": 19_962}


def is_celeba(source: Path) -> bool:
    """Tell whether a folder is laid out as CelebA, complete or not."""
    return any((source / name).exists() for name in (IMAGES, ARCHIVE, PARTITION))


def open_celeba(
    source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int, native: bool = False
) -> PhotoSplit:
    """Open one split of CelebA as its authors divided it.

    Args:
        source: folder with ``list_eval_partition.txt`` and either ``img_align_celeba/`` or the published
            ``img_align_celeba.zip``, which is read without being unpacked; the folder wins over the archive.
        split: which of the authors' three parts.
        image_shape: (H, W) in pixels; (218, 178) returns the original pixels.
        count: how many photographs to use, evenly spread over the list.
        seed: moves the selection.
        native: see ``OpenSplit``.

    Returns:
        RGB images, (3, H, W) float32 in [0, 1]. Every photograph is its own group: CelebA's list of identities is not
        read.

    Raises:
        DataError: if the list, the images or a selected image are missing, the list has another format, or the archive
            is broken or a saved web page.

    Source: Liu et al. 2015, "Deep learning face attributes in the wild"; 162,770 / 19,867 / 19,962 images.
    """
    names = read_partition(source / PARTITION)[split]
    if not names:
        raise DataError.about(source / PARTITION, f"lists no {split} image")
    photos, missing = find_photos(source, [names[i] for i in spread(len(names), count, seed)])
    if missing:
        raise missing[0]
    return photo_split(photos, split, image_shape, native)


def find_photos(source: Path, names: list[str]) -> tuple[list[Photo], list[DataError]]:
    """Find photographs in the folder or, where there is none, in the archive.

    Args:
        source: CelebA's folder.
        names: file names, as the partition lists them.

    Returns:
        The photographs that are there, and an error for each that is not, both in the order of the names.

    Raises:
        DataError: if there is neither folder nor archive, or the archive cannot be read.
    """
    folder, members = source / IMAGES, _members(source)
    photos = [Photo(folder / name, name, members[name]) for name in names if name in members]
    absent = (folder / name for name in names if name not in members)
    return photos, [DataError.about(path, f"listed in {PARTITION}, but missing") for path in absent]


def _members(source: Path) -> Mapping[str, Member | None]:
    """Return the names of all images, and the places of those in the archive."""
    folder, archive = source / IMAGES, source / ARCHIVE
    if archive.exists() and not folder.exists():
        return {name.rpartition("/")[2]: member for name, member in list_members(archive).items()}
    try:
        return dict.fromkeys(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise DataError.about(folder, f"the folder of CelebA's images is missing, and so is {ARCHIVE}") from error


def read_partition(path: Path) -> dict[Split, list[str]]:
    """Read which image belongs to which split.

    Args:
        path: ``list_eval_partition.txt``: a file name and 0, 1 or 2 on each line, without a header.

    Returns:
        Split -> file names in the order of the list; a split may have none.

    Raises:
        DataError: if the file is missing, a saved web page or has another format.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise OSError("no file, or none of that size")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError.about(path, f"CelebA's partition list is missing or no text ({error})") from error
    if lines and is_html(lines[0].encode()):
        raise DataError.about(path, "is an HTML page, not CelebA's partition list (a download quota notice?)")
    names: dict[Split, list[str]] = {split: [] for split in CODES.values()}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or fields[1] not in CODES:
            raise DataError.about(path, f"line {number} is not '<file name> <0, 1 or 2>'")
        names[CODES[fields[1]]].append(fields[0])
    return names
