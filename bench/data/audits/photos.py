"""Photographs: every one is decoded; CelebA's must have its size and be all that its partition lists."""

from functools import partial
from pathlib import Path

from bench.data.audits.base import SPLITS, Contents, Layout, SplitAudit, audit_splits, told
from bench.data.base import Split
from bench.data.formats.celeba import (
    ARCHIVE,
    IMAGE_SHAPE,
    IMAGES,
    PARTITION,
    PUBLISHED_IMAGES,
    find_photos,
    is_celeba,
    read_partition,
)
from bench.data.formats.folder import FOLDERS, Photo, list_photos


def examine_photo(photo: Photo, image_shape: tuple[int, int] | None = None) -> Contents:
    """Decode one photograph.

    Args:
        photo: where it is.
        image_shape: (H, W) that it must have; None for any.
    """
    pixels = photo.read()
    shape = (pixels.shape[1], pixels.shape[2])
    problems = []
    if image_shape is not None and shape != image_shape:
        wanted = "x".join(map(str, image_shape))
        problems.append(told(photo.path, f"is {shape[0]} pixels high and {shape[1]} wide, not {wanted}"))
    if (pixels == pixels[:, :1, :1]).all():
        problems.append(told(photo.path, "is blank: it has one colour everywhere"))
    return Contents(
        images=1,
        shape=shape,
        stored_as=photo.path.suffix.lower().lstrip("."),
        low=float(pixels.min()),
        high=float(pixels.max()),
        problems=tuple(problems),
    )


def _audit_celeba(source: Path) -> list[SplitAudit]:
    partition = read_partition(source / PARTITION)
    audits = []
    for split in SPLITS:
        photos, missing = find_photos(source, partition[split])
        empty = [] if partition[split] else [told(source / PARTITION, f"lists no {split} image")]
        audits.append(
            SplitAudit(
                split=split,
                files=photos,
                examine=partial(examine_photo, image_shape=IMAGE_SHAPE),
                problems=(*empty, *map(str, missing)),
                published=(PUBLISHED_IMAGES[split], "images"),
            )
        )
    return audits


def _audit_folder_split(source: Path, split: Split) -> SplitAudit:
    return SplitAudit(split=split, files=list_photos(source, split), examine=examine_photo)


def _has_split_folder(source: Path) -> bool:
    return any((source / name).is_dir() for names in FOLDERS.values() for name in names)


CELEBA = Layout(
    title="CelebA",
    looks_like=f"{PARTITION} with {IMAGES}/ or {ARCHIVE}",
    tasks=("deblur",),
    recognises=is_celeba,
    audit=_audit_celeba,
)

FOLDER = Layout(
    title="photographs",
    looks_like="train/, val/ or validation/, test/ with .jpg or .png files",
    tasks=("deblur",),
    recognises=_has_split_folder,
    audit=partial(audit_splits, _audit_folder_split),
)
