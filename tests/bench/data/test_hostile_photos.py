"""Photographs and archives that are damaged or made to do harm: read, or refused in one line."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.data.audits.photos import examine_photo
from bench.data.base import DataError
from bench.data.formats.celeba import open_celeba
from bench.data.formats.folder import Photo, open_folder
from tests.bench.data.hostile import EDITS, LENGTH, SHAPE, damaged, many, one_line, sound, used


def with_checksums(content):
    """Give every chunk of a PNG file the checksum of what it holds, so that decoders go on."""
    repaired, place = bytearray(content), 8
    while place + 12 <= len(repaired):
        end = place + 8 + struct.unpack(">I", repaired[place : place + 4])[0]
        if end + 4 > len(repaired):
            break
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(repaired[place + 4 : end]))
        place = end + 4
    return bytes(repaired)


def photo_bytes(file_type, mode):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (31, 43), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(buffer, file_type, exif=exif)
    return buffer.getvalue()


PHOTOS = {
    **{f"{mode}.png": photo_bytes("png", mode) for mode in ("RGB", "P", "LA", "I;16", "1")},
    **{f"{mode}.jpg": photo_bytes("jpeg", mode) for mode in ("RGB", "L", "CMYK")},
}


@many(400)
@given(name=st.sampled_from(sorted(PHOTOS)), edits=EDITS, length=LENGTH, repair=st.booleans())
def test_damaged_photographs(tmp_path, name, edits, length, repair):
    content = damaged(PHOTOS[name], edits, length)
    path = tmp_path / "train" / ("a" + name[-4:])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(with_checksums(content) if repair and name.endswith("png") else content)
    photo = Photo(path, path.name)
    try:
        photo.shape()
    except DataError as error:
        one_line(error)
    trainable = used(open_folder, tmp_path)
    assert trainable or not sound(examine_photo, photo)
    path.unlink()


@many(100)
@given(
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"<", b"8BPS"]),
    rest=st.binary(),
)
def test_what_only_begins_like_a_picture(tmp_path, start, rest):
    path = tmp_path / "train" / "a.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(start + rest)
    assert not used(open_folder, tmp_path)
    assert not sound(examine_photo, Photo(path, path.name))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return the bytes of a small archive in CelebA's layout: one member stored, one deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("img_align_celeba/0.jpg", PHOTOS["RGB.jpg"])
        file.writestr("img_align_celeba/1.jpg", PHOTOS["RGB.jpg"], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@many(200)
@given(edits=EDITS, length=LENGTH, end=st.booleans())
def test_damaged_archives(tmp_path, archive, edits, length, end):
    directory = archive.index(b"PK\1\2")
    content = damaged(archive[directory:], edits, 1) if end else damaged(archive[:directory], edits, 1)
    content = archive[:directory] + content if end else content + archive[directory:]
    (tmp_path / "img_align_celeba.zip").write_bytes(content[: round(length * len(content))])
    (tmp_path / "list_eval_partition.txt").write_text("0.jpg 0\n1.jpg 0\n")
    used(open_celeba, tmp_path)


@many(100)
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_partitions_of_others_making(tmp_path, archive, text):
    (tmp_path / "img_align_celeba.zip").write_bytes(archive)
    (tmp_path / "list_eval_partition.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    used(open_celeba, tmp_path)


def test_a_member_that_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "list_eval_partition.txt").write_text("0.jpg 0\n")
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("img_align_celeba/0.jpg", bytes(300 * 2**20))
    with pytest.raises(
        DataError, match=r"holds 'img_align_celeba/0.jpg' of 314,572,800 bytes; 268,435,456 are the most"
    ):
        open_celeba(tmp_path, "train", image_shape=SHAPE, count=1, seed=0)
