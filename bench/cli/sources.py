"""The folders of images that options name, checked before anything is measured."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from bench.cli import TASK
from bench.cli.parameters import short
from bench.data.base import DataError, ImageSplit, Split
from bench.data.fingerprint import fingerprint, place_of
from bench.evaluation.grading import find_example
from bench.records import Files
from bench.records.recipe import recipe_for
from bench.runner.progress import Reporter
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
        if os.path.isfile(folder):  # unlike pathlib's, these take any text
            raise click.ClickException(f"--data {short(folder)} is a file; name the folder that holds it")
        if not folder.strip() or not os.path.isdir(folder):
            raise click.ClickException(f"data folder {short(folder)} does not exist")
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
    """Read an image of every file that a command uses, so that a bad one is refused before anything is measured.

    Files of photographs hold one image each; of a stack of slices one is read, which notices all but damage inside it.

    Args:
        tasks: keys of ``TASKS``.
        sources: task -> folder of real images.
        scale: image size, and numbers of images.
        splits: which.

    Raises:
        click.ClickException: if a folder or a file cannot be used; the message names the file.
    """
    read: set[Any] = set()  # two tasks may share a folder
    for task in tasks:
        for split in splits:
            reporter = Reporter(1)
            reporter.start(f"task {task}: reading {split} images once")
            try:
                for count in _used(task, split, scale):
                    _read_once(open_split(task, sources.get(task), split, scale, count=count), read, reporter)
            except DataError as error:
                raise click.ClickException(f"task {task}: {error}") from error


def _used(task: str, split: Split, scale: Scale) -> set[int]:
    """Return how many images of a split commands use: validation images by the starting image, or as many as tests."""
    if split == "validation":
        recipes = [recipe_for(task, scale.name, "", start) for start in TASKS[task].starts]
        return {recipe.validation_images or scale.test_images for recipe in recipes}
    return {scale.train_images if split == "train" else scale.test_images}


def _read_once(images: ImageSplit[Any], read: set[Any], reporter: Reporter) -> None:
    for position, reference in enumerate(images.references):
        place = place_of(reference)
        if place is None:
            return  # generated
        if place not in read:
            read.add(place)
            images[position]
            reporter.detail(f"{position + 1} of {len(images)}")


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
