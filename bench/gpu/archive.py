"""One archive per part: its figures, log and records, small enough to send."""

import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import click

from bench.records import MIB
from bench.records.environment import ROOT
from bench.records.files import write_atomically

MOST_BYTES = 15 * MIB
"""Of one archive; some providers of GPUs return no file above 16 MiB."""
MOST_MEMBER_BYTES = 256 * MIB
"""Of one file of an archive: what inflates to more was not written here."""
HOMES = {
    "results": ROOT / "results",
    "calibration": ROOT / "bench" / "memory" / "calibration",
    "histories": ROOT / "tests" / "bench" / "memory" / "histories",
}
"""The checkout's folders for these folders of an archive."""
LEFT_BEHIND = "checkpoints"


def pack(archive: Path, folder: Path, files: Iterable[Path], most_bytes: int = MOST_BYTES) -> list[str]:
    """Write an archive whole or not at all.

    Args:
        archive: what is written, a .tar.gz.
        folder: names in the archive are relative to it.
        files: most important first.
        most_bytes: of the archive.

    Returns:
        Names that were left out because there was no room for them.
    """
    buffer, left_out = io.BytesIO(), []
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in files:
            name = path.relative_to(folder).as_posix()
            if buffer.tell() + path.stat().st_size > most_bytes:
                left_out.append(name)
            else:
                tar.add(path, name)
    write_atomically(archive, buffer.getvalue())
    return left_out


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Write an archive's files into a folder where they are missing, and return those that were written."""
    return _write(archive, lambda name: None if (folder / name).exists() else folder / name)


def adopt(folder: Path, homes: dict[str, Path] | None = None) -> list[Path]:
    """Copy the files of a folder's archives into the checkout's folders for them, and replace existing ones.

    Args:
        folder: with archives.
        homes: first folder of a name -> where it belongs; by default the checkout's.

    Returns:
        Files that were written.
    """
    places = HOMES if homes is None else homes

    def home(name: PurePosixPath) -> Path | None:
        first, *rest = name.parts
        known = first in places and rest and LEFT_BEHIND not in rest
        return places[first].joinpath(*rest) if known else None

    return [path for archive in sorted(folder.glob("*.tar.gz")) for path in _write(archive, home)]


def _write(archive: Path, place: Callable[[PurePosixPath], Path | None]) -> list[Path]:
    written = []
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            name = PurePosixPath(member.name)
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or name.is_absolute() or ".." in name.parts:
                continue
            target = place(name)
            if target is not None:
                if member.size > MOST_MEMBER_BYTES:
                    raise click.ClickException(f"{archive}: {name} inflates to more than {MOST_MEMBER_BYTES} bytes")
                write_atomically(target, content.read(MOST_MEMBER_BYTES))
                written.append(target)
    return written
