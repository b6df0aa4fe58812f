"""Read single files out of a zip archive that is never unpacked."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from bench.data.base import DataError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""A member's own header: signature, lengths of the name and of the extra field that follow it."""
MOST_BYTES = 256 * 2**20
"""Of one file in an archive, which is inflated in memory; an image has far fewer."""
_ENCRYPTED = 0x1
_INFLATE_RAW = -15


def is_html(start: bytes) -> bool:
    """Tell from its first bytes whether a download is a web page, such as a quota notice, under another name."""
    return start.lstrip()[:1] == b"<"


@dataclass(frozen=True)
class Member:
    """Where one file lies inside an archive.

    ``zipfile`` would parse the list of all members on every opening (1.2 s and 113 MB for CelebA's 202,599), and
    one that stays open cannot be shared by worker processes. An offset can.

    Attributes:
        archive: the zip file.
        offset: byte at which the member's own header begins.
        stored_bytes: length in the archive.
        size_bytes: length of the file.
        deflated: whether it is compressed.
        checksum: CRC-32 of the file.
    """

    archive: Path
    offset: int
    stored_bytes: int
    size_bytes: int
    deflated: bool
    checksum: int

    def open(self, name: str) -> BinaryIO:
        """Read the file into memory.

        Args:
            name: what to call it in messages.

        Raises:
            DataError: if the archive is missing or truncated, or the file in it is damaged.
        """
        where = f"{self.archive}/{name}"
        try:
            content = self._content()
        except OSError as error:
            raise DataError.about(self.archive, f"cannot be read ({error})") from error
        except (struct.error, zlib.error) as error:
            raise DataError.about(where, f"is truncated or damaged inside the archive ({error})") from error
        if len(content) != self.size_bytes or zlib.crc32(content) != self.checksum:
            raise DataError.about(where, "is truncated or damaged inside the archive (its checksum differs)")
        return io.BytesIO(content)

    def _content(self) -> bytes:
        with self.archive.open("rb") as stream:
            stream.seek(self.offset)
            _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            stream.seek(name_bytes + extra_bytes, io.SEEK_CUR)
            stored = stream.read(self.stored_bytes)
        # No more than the announced size is inflated, whatever the archive holds.
        return zlib.decompressobj(_INFLATE_RAW).decompress(stored, self.size_bytes + 1) if self.deflated else stored


def list_members(archive: Path) -> Mapping[str, Member]:
    """Find every file of an archive.

    Args:
        archive: a zip file whose members are stored or deflated.

    Returns:
        Path inside the archive -> where it lies, in the archive's order.

    Raises:
        DataError: if the file is missing, truncated or no archive (a saved HTML page is called one), or if a
            member is encrypted, compressed otherwise, or named so that unpacking it could write elsewhere.
    """
    try:
        if not archive.is_file():
            raise DataError.about(archive, "no such file")
        with archive.open("rb") as stream:
            if is_html(stream.read(256)):
                raise DataError.about(archive, "is an HTML page, not a zip archive (a download quota notice?)")
        with zipfile.ZipFile(archive) as opened:
            return {info.filename: _member(archive, info) for info in opened.infolist() if not info.is_dir()}
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as error:
        raise DataError.about(archive, f"cannot be read as a zip archive ({error}); is it truncated?") from error


def _member(archive: Path, info: zipfile.ZipInfo) -> Member:
    name = info.filename
    # Nothing is ever unpacked here, but a published archive has no such name: this one is another.
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:
        raise DataError.about(archive, f"holds {name!r}, which leads out of the archive; refused")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError.about(archive, f"holds {name!r}, which is encrypted or neither stored nor deflated")
    if info.file_size > MOST_BYTES:
        raise DataError.about(archive, f"holds {name!r} of {info.file_size:,} bytes; {MOST_BYTES:,} are the most")
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Member(archive, info.header_offset, info.compress_size, info.file_size, deflated, info.CRC)
