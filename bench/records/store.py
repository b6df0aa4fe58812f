"""The results folder: one JSON file per record, written whole or not at all. Never imports torch.

results/
  memory/ct-luser-dw-1a2b3c4d-5e6f7a8b.json     kind / subject-cell-environment
  examples/1a2b3c4d-5e6f7a8b.npz                Figure 2's arrays of one accuracy record
  credits.toml                                  whom to credit for real images, by data label
"""

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bench.records.examples import pack_example, unpack_example
from bench.records.files import check_folder, keep_aside, read_file, reason_of, write_atomically
from bench.records.question import Spec
from bench.records.reading import Skips, StoreError, inside, parsed, read_credits, record_paths, to_stderr
from bench.records.record import Provenance, Record, cell_id

__all__ = ["ResultStore", "StoreError"]

_M = TypeVar("_M", bound=BaseModel)
_LONGEST_SUBJECT = 180
"""Bytes of a file's name that a subject takes: file systems allow 255."""


class ResultStore:
    """Append-only records under one folder, which several processes may read and write at once.

    A file that is no valid record never stops the others from being read: it is told once and skipped.

    Args:
        root: the results folder; it is made on the first write.
        tell: receives one line for every file that is skipped.
    """

    def __init__(self, root: Path | str, tell: Callable[[str], None] = to_stderr) -> None:
        self.root = Path(root)
        self.skips = Skips(tell)

    def check_writable(self) -> None:
        """Write a file and delete it, so that a folder that takes no records is noticed before measuring.

        Temporary files that killed writers left more than an hour ago are deleted.

        Raises:
            StoreError: if records cannot be written; the message names the folder.
        """
        folder = self.root
        try:
            check_folder(folder)
            for folder in (self.root / name for name in (*kinds(), "examples")):
                if folder.exists():
                    check_folder(folder)
        except OSError as error:
            raise StoreError(f"{folder}: records cannot be written here: {reason_of(error)}") from error

    def add(self, record: Record) -> Path:
        """Store one record: temporary file, fsync, rename, so that an interrupt leaves the store whole.

        A record of the same cell and environment is replaced, but a finished one not by a crash or a time-out. A file
        in its place that is no valid record is kept aside as ``NAME.json.broken``.

        Returns:
            The record's file.

        Raises:
            StoreError: if it cannot be written; the message says where the record is kept instead.
        """
        path = self.path_of(record.spec, record.provenance)
        content = (record.model_dump_json(indent=1) + "\n").encode()
        try:
            held = self._held(path, record)
            if held is None or record.status.finished or not held.status.finished:
                write_atomically(path, content)
        except OSError as error:
            kept = _kept_elsewhere(path.name, content)
            raise StoreError(f"{path}: cannot be written: {reason_of(error)}; the record is {kept}") from error
        return path

    def _held(self, path: Path, record: Record) -> Record | None:
        """Return what is stored of a record's cell; anything else in its place is kept aside."""
        try:
            held = self.read(path)
            if held.cell_id == record.cell_id:
                return held
            problem = f"{path}: a record of another question"
        except FileNotFoundError:
            if not path.is_symlink():
                return None
            problem = f"{path}: a link that leads nowhere"
        except StoreError as error:
            problem = str(error)
        aside = keep_aside(path)
        if aside is not None:
            self.skips.say(f"kept aside as {aside.name}: {problem}")
        return None

    def add_example(self, spec: BaseModel, provenance: Provenance, **arrays: NDArray[np.float32]) -> str:
        """Store Figure 2's images of one accuracy cell: ``start``, ``reconstruction``, ``truth``.

        Args:
            spec: the accuracy cell.
            provenance: where it ran.
            arrays: (C, H, W) float arrays as the task displays them, in [0, 1]; kept as float16.

        Returns:
            The file's path relative to the results folder, for ``AccuracyValues.example``.

        Raises:
            StoreError: if it cannot be written; the message names it.
        """
        relative = Path("examples") / f"{cell_id(spec)[:8]}-{provenance.env_id[:8]}.npz"
        try:
            write_atomically(self.root / relative, pack_example(arrays))
        except OSError as error:
            raise StoreError(f"{self.root / relative}: cannot be written: {reason_of(error)}") from error
        return relative.as_posix()

    def example(self, relative: str) -> dict[str, NDArray[np.float32]]:
        """Read the images of ``AccuracyValues.example`` back as float32 arrays (C, H, W).

        Raises:
            StoreError: if the file is missing, broken or outside the results folder; the message names it.
        """
        path = self.inside(relative)
        try:
            return unpack_example(read_file(path))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: not a valid example: {reason_of(error)}") from error

    def inside(self, relative: str) -> Path:
        """Return the path of a file that a record names, such as ``AccuracyValues.example`` and ``weights``.

        Args:
            relative: to the results folder; the file need not exist.

        Raises:
            StoreError: if it leads out of the results folder, by itself or by a link.
        """
        return inside(self.root, relative)

    def credits(self) -> dict[str, str]:
        """Return whom to credit for real images, by data label, from ``credits.toml``; what is broken is told."""
        return read_credits(self.root / "credits.toml", self.skips)

    def finished(self, spec: Spec, provenance: Provenance, *, anywhere: bool = False) -> Record | None:
        """Return the finished record of this cell, if there is one; one that cannot be read is told, and is none.

        Args:
            spec: the cell.
            provenance: the environment.
            anywhere: whether a record of another environment will do where this one has none.
        """
        here = self.path_of(spec, provenance)
        question = here.stem.rpartition("-")[0]
        elsewhere = sorted(here.parent.glob(f"{glob.escape(question)}-*.json")) if anywhere else ()
        wanted = cell_id(spec)
        for path in (here, *elsewhere):
            record = self._read_or_skip(path, self.read)
            if record is not None and record.status.finished and record.cell_id == wanted:
                return record
        return None

    def paths(self) -> list[Path]:
        """Return every file that should be a record, sorted by kind and name."""
        return record_paths(self.root, self.skips)

    def records(self) -> Iterator[Record]:
        """Yield every record, sorted by file name; files that are no valid record are told and skipped."""
        for path in self.paths():
            record = self._read_or_skip(path, self.read)
            if record is not None:
                yield record

    def summaries(self, form: type[_M]) -> Iterator[tuple[Path, _M]]:
        """Yield every record's file and a part of the record, sorted by file name: faster than ``records``.

        Args:
            form: the fields that are wanted; others are not checked.
        """
        for path in self.paths():
            part = self._read_or_skip(path, lambda path: parsed(path, form))
            if part is not None:
                yield path, part

    def _read_or_skip(self, path: Path, read: Callable[[Path], _M]) -> _M | None:
        try:
            return read(path)
        except FileNotFoundError:  # never there, or another process has just kept it aside; but not a dangling link
            if path.is_symlink():
                self.skips.skip(f"{path}: a link that leads nowhere")
        except StoreError as error:
            self.skips.skip(error)
        return None

    @staticmethod
    def read(path: Path) -> Record:
        """Read one record's file.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it is not a valid record; the message names it.
        """
        return parsed(path, Record)

    def path_of(self, spec: Spec, provenance: Provenance) -> Path:
        """Return the file that a cell measured in an environment is stored in."""
        subject = "-".join(spec.subject).encode()[:_LONGEST_SUBJECT].decode(errors="ignore")
        name = "-".join((subject, cell_id(spec)[:8], provenance.env_id[:8])) + ".json"
        return self.root / spec.kind / name.replace(os.sep, "_").replace(":", "_")


def kinds() -> list[str]:
    """Return the kinds of questions, each a folder of the store."""
    return [question.model_fields["kind"].default for question in get_args(get_args(Spec)[0])]


def _kept_elsewhere(name: str, content: bytes) -> str:
    """Write a record that the results folder does not take into a new temporary folder; say where."""
    try:
        path = Path(tempfile.mkdtemp(prefix="unstored-")) / name
        write_atomically(path, content)
    except OSError as error:
        return f"lost, since no temporary folder takes it either: {reason_of(error)}"
    return f"kept as {path}"
