"""The folders of images that options name, checked before anything is measured."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from bench.cli import TASK
from bench.data import DataError, ImageSplit, Split
from bench.data.fingerprint import fingerprint
from bench.evaluation.grading import find_example
from bench.records import Files
from bench.tasks import TASKS
from bench.tasks.scales import Scale


def data_sources(options: Sequence[str], root: Path | None = None) -> dict[str, Path]:
    """Turn ``--data`` and ``--data-root`` into a folder per task.

    Args:
        options: ``FOLDER`` or ``TASK=FOLDER``; a later one wins over an earlier one.
        root: holds a folder for each task's data set; a set that is missing is noticed by ``check_sources``, where
            its task is wanted.

    Raises:
        click.ClickException: if a task is unknown or a folder is absent.
    """
    folders = by_task(options)
    for folder in folders.values():
        if Path(folder).is_file():
            raise click.ClickException(f"--data {folder!r} is a file; name the folder that holds it")
        if not Path(folder).is_dir():
            raise click.ClickException(f"data folder {folder!r} does not exist")
    of_root = {} if root is None else {name: root / task.data_set for name, task in TASKS.items()}
    return of_root | {task: Path(folder) for task, folder in folders.items()}


def by_task(options: Sequence[str]) -> dict[str, str]:
    """Turn options ``VALUE`` (for every task) and ``TASK=VALUE`` into a value per task; a later one wins.

    Raises:
        click.ClickException: if a task is unknown.
    """
    values: dict[str, str] = {}
    for option in options:
        task, separator, value = option.partition("=")
        if not separator or not task.isidentifier():
            values |= dict.fromkeys(TASKS, option)
        else:
            values[TASK.convert(task, None, None)] = value
    return values


def check_sources(
    tasks: Sequence[str], sources: Mapping[str, Path], scale: Scale, splits: Sequence[Split] = ("train", "test")
) -> None:
    """Open the splits that a command needs, so that a bad folder is refused before anything is measured.

    Args:
        tasks: keys of ``TASKS``.
        sources: task -> folder of real images.
        scale: image size.
        splits: which.

    Raises:
        click.ClickException: if a folder cannot be used; the message names the file.
    """
    for task in tasks:
        for split in splits:
            # Native photographs may be too small: those that a run uses have to be looked at.
            used = scale.train_images if split == "train" else scale.test_images
            try:
                open_split(task, sources.get(task), split, scale, count=used if scale.native else 1)
            except DataError as error:
                raise click.ClickException(f"task {task}: {error}") from error


def files_of(task: str, source: Path | None, counts: Mapping[Split, int]) -> Files | None:
    """Return digests of the files that a question reads, which distinguish data sets of the same name.

    Args:
        task: key of ``TASKS``.
        source: folder of real images; None for generated ones, which have no files.
        counts: split -> how many of its images are used, 0 for none; each process looks once.

    Raises:
        click.ClickException: if the folder cannot be used; the message names the file.
    """
    if source is None:
        return None
    found = {split: _digest(task, source.absolute(), split, count) for split, count in counts.items() if count}
    return Files(**found) if any(found.values()) else None


@lru_cache(maxsize=256)
def _digest(task: str, source: Path, split: Split, count: int) -> str | None:
    try:
        shape = TASKS[task].image_shape  # any: it chooses no image
        return fingerprint(TASKS[task].load_split(source, split, image_shape=shape, count=count, seed=0), source)
    except DataError as error:
        raise click.ClickException(f"task {task}: {error}") from error


def open_split(task: str, source: Path | None, split: Split, scale: Scale, *, count: int) -> ImageSplit[Any]:
    """Open a split at a scale's image size.

    Args:
        task: key of ``TASKS``.
        source: folder of real images; None for generated ones.
        split: which part of it.
        scale: image size, and whether images are native.
        count: how many images to use.

    Raises:
        DataError: if the folder cannot be used.
    """
    shape = scale.image_shape(task, source)
    return TASKS[task].load_split(source, split, image_shape=shape, count=count, seed=0, native=scale.native)


def check_examples(
    tasks: Sequence[str], sources: Mapping[str, Path], scale: Scale, patterns: Mapping[str, str]
) -> None:
    """Check that the held-out images for Figure 2 exist, before hours of training.

    Args:
        tasks: keys of ``TASKS``.
        sources: task -> folder of real images.
        scale: image size and number of images.
        patterns: task -> pattern of a name.

    Raises:
        click.ClickException: if no name fits.
    """
    for task in patterns.keys() & set(tasks):
        images = open_split(task, sources.get(task), "test", scale, count=scale.test_images)
        try:
            find_example(images, patterns[task])
        except ValueError as error:
            raise click.ClickException(f"task {task}: --example: {error}") from error
