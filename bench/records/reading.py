"""Reading a results folder in which anything may be broken. Never imports torch."""

import os
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bench.records.files import UnreadableFileError, read_file, reason_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_M = TypeVar("_M", bound=BaseModel)


class StoreError(ValueError):
    """A file of the results folder that cannot be used or written; the message is one line that names it."""


def to_stderr(line: str) -> None:
    """Write a line to stderr, so that stdout stays machine readable."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Skips:
    """Tells of every file that is skipped, once per file and reason.

    Args:
        tell: receives the lines.
    """

    def __init__(self, tell: Callable[[str], None] = to_stderr) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def skip(self, problem: object) -> None:
        """Tell that a file is skipped; ``problem`` names it and the reason, as a ``StoreError`` does."""
        self.say(f"skipped: {problem}")

    def say(self, text: str) -> None:
        """Tell anything in one line, once."""
        line = "".join(char if char.isprintable() else " " for char in text)
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def record_paths(root: Path, skips: Skips) -> list[Path]:
    """Return every file of a results folder that should be a record, sorted by kind and name."""
    found: list[str] = []
    for folder in _scan(root, skips, lambda entry: entry.is_dir()):
        found += _scan(Path(folder), skips, lambda entry: entry.name.endswith(".json"))
    return [Path(name) for name in found]


def _scan(folder: Path, skips: Skips, wanted: Callable[["os.DirEntry[str]"], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if wanted(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        skips.skip(f"{folder}: {reason_of(error)}")
        return []


def parsed(path: Path, form: type[_M]) -> _M:
    """Read a record's file, or a part of it.

    Args:
        path: the file.
        form: the fields that are wanted.

    Raises:
        FileNotFoundError: if there is none.
        StoreError: if it is not a valid record; the message names it.
    """
    try:
        return form.model_validate_json(read_file(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise StoreError(f"{path}: not a valid record: {where}: {first['msg']}") from error
    except UnreadableFileError as error:
        raise StoreError(f"{path}: not a valid record: {error}") from error


def inside(root: Path, relative: str) -> Path:
    """Return the path of a file that a record names, which need not exist.

    Args:
        root: the results folder.
        relative: to it.

    Raises:
        StoreError: if it leads out of the results folder, by itself or by a link.
    """
    forms = (PurePosixPath(relative), PureWindowsPath(relative))
    leaves = any(form.is_absolute() or form.drive or ".." in form.parts for form in forms)
    try:
        if not leaves and (root / relative).resolve().is_relative_to(root.resolve()):
            return root / relative
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a circle of links, before Python 3.13
        pass
    raise StoreError(f"{root}: a record names a file outside the results folder: {relative!r}")


def read_credits(path: Path, skips: Skips) -> dict[str, str]:
    """Return the texts of ``credits.toml`` by label; none where it is absent or broken, which is told."""
    try:
        content = tomllib.loads(read_file(path).decode())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        skips.skip(f"{path}: not valid TOML: {error}")
        return {}
    texts = {label: text for label, text in content.items() if isinstance(text, str)}
    for label in content.keys() - texts.keys():
        skips.skip(f"{path}: every credit must be one text: {label!r}")
    return texts
