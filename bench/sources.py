"""Where a run's images come from: the ``--data`` options, checked before anything is measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bench.cli import TASK
from bench.data import DataError, Split
from bench.scales import Scale
from bench.tasks import TASKS


def data_sources(options: Sequence[str]) -> dict[str, Path]:
    """Turn ``--data`` options into a folder per task; a later option wins over an earlier one.

    Args:
        options: ``FOLDER`` or ``TASK=FOLDER``.

    Raises:
        click.ClickException: if a task is unknown or a folder is absent.
    """
    sources: dict[str, Path] = {}
    for option in options:
        task, separator, folder = option.partition("=")
        if not separator or not task.isidentifier():
            task, folder = "", option
        path = Path(folder)
        if path.is_file():
            raise click.ClickException(f"--data {folder!r} is a file; name the folder that holds it")
        if not path.is_dir():
            raise click.ClickException(f"data folder {folder!r} does not exist")
        if task:
            TASK.convert(task, None, None)
        sources |= dict.fromkeys([task] if task else TASKS, path)
    return sources


def check_sources(
    tasks: Sequence[str], sources: Mapping[str, Path], scale: Scale, splits: Sequence[Split] = ("train", "test")
) -> None:
    """Open the splits that a command needs before anything is measured, so that a bad folder costs no time.

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
            try:
                TASKS[task].load_split(sources.get(task), split, image_shape=scale.image_shape(task), count=1, seed=0)
            except DataError as error:
                raise click.ClickException(f"task {task}: {error}") from error
