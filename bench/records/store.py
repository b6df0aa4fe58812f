"""The results folder: one JSON file per record, written whole or not at all. Never imports torch.

results/
  memory/ct-luser-dw-1a2b3c4d-5e6f7a8b.json     kind / subject-cell-environment
  examples/1a2b3c4d-5e6f7a8b.npz                Figure 2's arrays of one accuracy record
  credits.toml                                  whom to credit for real images, by data label
"""

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from bench.records.files import write_atomically
from bench.records.question import Spec
from bench.records.record import Provenance, Record, cell_id

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:  # machines that only measure may lack it
    import pandas as pd

EXAMPLE_KEYS = ("start", "reconstruction", "truth")


class StoreError(ValueError):
    """A file of the results folder that is not a valid record; the message names it."""


class ResultStore:
    """Append-only records under one folder.

    Args:
        root: the results folder; it is made on the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def add(self, record: Record) -> Path:
        """Store one record: temporary file, fsync, rename, so that an interrupt leaves the store whole.

        A record of the same cell and environment is replaced.

        Returns:
            The record's file.
        """
        path = self.path_of(record.spec, record.provenance)
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
        return path

    def add_example(self, spec: BaseModel, provenance: Provenance, **arrays: NDArray[np.float32]) -> str:
        """Store Figure 2's images of one accuracy cell: ``start``, ``reconstruction``, ``truth``.

        Args:
            spec: the accuracy cell.
            provenance: where it ran.
            arrays: (C, H, W) float arrays as the task displays them, in [0, 1]; kept as float16.

        Returns:
            The file's path relative to the results folder, for ``AccuracyValues.example``.
        """
        relative = Path("examples") / f"{cell_id(spec)[:8]}-{provenance.env_id[:8]}.npz"
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **{k: arrays[k].astype(np.float16) for k in EXAMPLE_KEYS})
        write_atomically(self.root / relative, buffer.getvalue())
        return relative.as_posix()

    def example(self, relative: str) -> dict[str, NDArray[np.float32]]:
        """Read the images of ``AccuracyValues.example`` back as float32 arrays (C, H, W).

        Raises:
            StoreError: if the file is missing or broken; the message names it.
        """
        path = self.root / relative
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key].astype(np.float32) for key in EXAMPLE_KEYS}
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path}: not a valid example: {error}") from error

    def credits(self) -> dict[str, str]:
        """Return whom to credit for real images, by data label, from ``credits.toml``; empty where it is absent.

        Raises:
            StoreError: if the file is not a table of texts; the message names it.
        """
        path = self.root / "credits.toml"
        if not path.exists():
            return {}
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: not valid TOML: {error}") from error
        if not all(isinstance(text, str) for text in content.values()):
            raise StoreError(f"{path}: every credit must be one text")
        return content

    def finished(self, spec: Spec, provenance: Provenance) -> Record | None:
        """Return the finished record of this cell in this environment, if there is one."""
        path = self.path_of(spec, provenance)
        if not path.exists():
            return None
        record = self.read(path)
        return record if record.status.finished else None

    def records(self) -> Iterator[Record]:
        """Yield every record, sorted by file name.

        Raises:
            StoreError: if a file is not a valid record; the message names it.
        """
        for path in sorted(self.root.glob("*/*.json")):
            yield self.read(path)

    @staticmethod
    def read(path: Path) -> Record:
        """Read one record's file.

        Raises:
            StoreError: if it is not a valid record; the message names it.
        """
        try:
            return Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            raise StoreError(f"{path}: not a valid record: {where}: {first['msg']}") from error

    def select(self, **equals: Any) -> "pd.DataFrame":
        """Return the records as a table, one row each: spec fields, status, device and the record itself.

        Args:
            equals: columns and the values they must have, e.g. ``kind="memory", task="ct"``.
        """
        import pandas as pd

        rows = [
            {
                **record.spec.model_dump(),
                "status": record.status.value,
                "device": record.provenance.device,
                "dirty": record.provenance.dirty,
                "created": record.provenance.created,
                "record": record,
            }
            for record in self.records()
            if all(getattr(record.spec, key, None) == value for key, value in equals.items())
        ]
        return pd.DataFrame(rows)

    def path_of(self, spec: Spec, provenance: Provenance) -> Path:
        """Return the file that a cell measured in an environment is stored in."""
        name = "-".join((*spec.subject, cell_id(spec)[:8], provenance.env_id[:8])) + ".json"
        return self.root / spec.kind / name.replace(os.sep, "_").replace(":", "_")
