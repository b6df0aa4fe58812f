"""CelebA: aligned face photographs, 178 pixels wide and 218 high, with the authors' own partition."""

import os
from pathlib import Path

from bench.data.base import DataError, Split, spread
from bench.data.folder import Photo, PhotoSplit

IMAGES = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
CODES: dict[str, Split] = {"0": "train", "1": "validation", "2": "test"}


def is_celeba(source: Path) -> bool:
    """Tell whether a folder is laid out as CelebA, complete or not."""
    return (source / IMAGES).exists() or (source / PARTITION).exists()


def open_celeba(source: Path, split: Split, *, image_shape: tuple[int, int], count: int, seed: int) -> PhotoSplit:
    """Open one split of CelebA as its authors divided it.

    Args:
        source: folder with ``img_align_celeba/`` and ``list_eval_partition.txt``.
        split: which of the authors' three parts.
        image_shape: (H, W) in pixels; (218, 178) hands out the original pixels.
        count: how many photographs to use, evenly spread over the list.
        seed: moves the selection.

    Returns:
        RGB images, (3, H, W) float32 in [0, 1]. Every photograph is its own group: who is on it is said in
        another file of CelebA, and reconstruction does not use it.

    Raises:
        DataError: if the list, the folder or a selected image is missing, or the list is not one.

    Source: Liu et al. 2015, "Deep learning face attributes in the wild"; 162,770 / 19,867 / 19,962 images.
    """
    folder = source / IMAGES
    names = _read_partition(source / PARTITION, split)
    try:
        present = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise DataError.about(folder, "the folder of CelebA's images is missing") from error
    selected = [names[i] for i in spread(len(names), count, seed)]
    for name in selected:
        if name not in present:
            raise DataError.about(folder / name, f"listed in {PARTITION}, but missing")
    return PhotoSplit([Photo(folder / name, name) for name in selected], image_shape)


def _read_partition(path: Path, split: Split) -> list[str]:
    """Return the file names of one split, in the order of the list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError.about(path, "CelebA's partition list is missing or no text") from error
    if lines and lines[0].lstrip().startswith("<"):
        raise DataError.about(path, "is an HTML page, not CelebA's partition list (a download quota notice?)")
    names = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or fields[1] not in CODES:
            raise DataError.about(path, f"line {number} is not '<file name> <0, 1 or 2>'")
        if CODES[fields[1]] == split:
            names.append(fields[0])
    if not names:
        raise DataError.about(path, f"lists no {split} image")
    return names
