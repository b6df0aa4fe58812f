"""Files that are whole or absent, whatever is interrupted, full or in the way. Never imports torch."""

import os
import secrets
import stat
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

MOST_BYTES = 64 * 2**20
"""Of a file that is read into memory: a thousand times the largest record."""

STALE_S = 3600.0
"""Age after which a temporary file belongs to a writer that was killed: a write takes seconds."""

_PROBE_BYTES = 2**20
_LONGEST_NAME = 200
"""Characters that a temporary file takes from its target's name: file systems allow 255 bytes."""


class UnreadableFileError(ValueError):
    """A file that cannot be read, with the reason in a few words."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename; its folder is made where there is none.

    Several processes may write the same file: the last one to finish wins.

    Raises:
        OSError: if it cannot be written; a file that was there before is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name[:_LONGEST_NAME]}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, content)
        try:
            temporary.replace(path)
        except FileNotFoundError:  # this process slept for so long that another took it for a dead writer's
            _write_new(temporary, content)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        with suppress(OSError):  # some network folders cannot; the file is whole all the same
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _write_new(path: Path, content: bytes) -> None:
    # Not by tempfile, whose files only their owner can read: others may share the folder.
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a regular file; a pipe, a device or a folder of its name is refused and never waited for.

    Args:
        path: the file, or a link to it.
        most_bytes: the largest size that is read.

    Raises:
        FileNotFoundError: if there is nothing of that name.
        UnreadableFileError: if it is no regular file, is too large or cannot be read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableFileError("not a regular file")
            if found.st_size > most_bytes:
                raise UnreadableFileError(f"larger than {most_bytes // 2**20} MiB")
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from error
    except (OSError, MemoryError) as error:
        raise UnreadableFileError(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Return why a file cannot be used in a few words, without its name."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()


def keep_aside(path: Path) -> Path | None:
    """Rename a file, or whatever has its name, to ``NAME.broken``, or ``NAME.broken.1`` and so on; none is overwritten.

    Returns:
        Its new name; None if another process has moved it.

    Raises:
        OSError: if it cannot be renamed.
    """
    is_folder = path.is_dir() and not path.is_symlink()
    for number in count():
        target = path.with_name(f"{path.name}.broken" + (f".{number}" if number else ""))
        try:
            # Reserves the name; the rename then replaces what is empty.
            target.mkdir() if is_folder else target.touch(exist_ok=False)
            break
        except FileExistsError:
            continue
    try:
        return path.replace(target)
    except FileNotFoundError:
        target.rmdir() if is_folder else target.unlink()
        return None


def check_folder(folder: Path) -> None:
    """Write a file of a record's size into a folder and delete it; the folder is made where there is none.

    Temporary files that killed writers left there, and in the folders inside, are deleted by the way.

    Raises:
        OSError: if nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f"probe.{secrets.token_hex(8)}.tmp"
    try:
        _write_new(probe, bytes(_PROBE_BYTES))
        now = probe.stat().st_mtime  # by the clock of a shared folder's server, as the others' ages
        for left in (*folder.glob("*.tmp"), *folder.glob("*/*.tmp")):
            with suppress(OSError):
                found = left.lstat()
                if stat.S_ISREG(found.st_mode) and now - found.st_mtime > STALE_S:
                    left.unlink()
    finally:
        probe.unlink(missing_ok=True)
