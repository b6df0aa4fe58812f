"""Files that are damaged or made to do harm: each is read or refused in one line, and none is waited for."""

import io
import struct
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data import DataError
from bench.data.audits.fastmri import examine_volume
from bench.data.audits.lodopab import SliceFile, examine_slices
from bench.data.audits.photos import examine_photo
from bench.data.formats.fastmri import open_fastmri
from bench.data.formats.folder import Photo, open_folder
from bench.data.formats.kspace import open_k_space
from bench.data.formats.lodopab import open_lodopab

SHAPE = (24, 24)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
LENGTH = st.one_of(st.just(1.0), st.floats(0, 1))


def many(examples):
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def damaged(content, edits, length, first_bytes=None):
    """Replace bytes at shares of the length, within the first ones if told, and cut the end off."""
    edited = bytearray(content)
    for place, value in edits:
        edited[int(place * (min(first_bytes or len(edited), len(edited)) - 1))] = value
    return bytes(edited[: round(length * len(edited))])


def one_line(error):
    assert str(error).isprintable()
    return False


def used(open_split, source):
    """Read all that training would; return whether it can."""
    try:
        split = open_split(source, "train", image_shape=SHAPE, count=5, seed=0)
        items = [split[position] for position in range(len(split))]
    except DataError as error:
        return one_line(error)
    assert all(np.isfinite(item.image.numpy()).all() for item in items)
    return True


def sound(examine, file):
    """Tell whether ``bench.data check`` has nothing to say against a file."""
    try:
        problems = examine(file).problems
    except DataError as error:
        problems = [str(error)]
    assert all(problem.isprintable() for problem in problems)
    return not problems


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


@many(500)
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


@many(150)
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


class Bytes(bytes):
    """Without a representation, which would be megabytes of a failing test's report."""

    __repr__ = object.__repr__


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Write one file of each layout; return their folders, and their bytes."""
    root = tmp_path_factory.mktemp("stacks")
    ct, mri = root / "ct" / "ground_truth_train_000.hdf5", root / "mri" / "train" / "v.h5"
    for path in (ct, mri):
        path.parent.mkdir(parents=True)
    slices = np.tile(np.linspace(0, 1, 362, dtype="f4"), (2, 362, 1))
    with h5py.File(ct, "w") as file:
        file.create_dataset("data", data=slices, chunks=(1, 362, 362), compression="gzip")
    numbers = np.random.default_rng(0).standard_normal((1, 320, 320, 2)) @ (1, 1j)
    with h5py.File(mri, "w") as file:
        file["kspace"] = numbers.astype("c8")
        image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(file["kspace"][0]), norm="ortho"))
        file["reconstruction_esc"] = np.abs(image)[None].astype("f4")
        file["ismrmrd_header"] = b"<ismrmrdHeader/>"
        file.attrs["patient_id"] = "someone"
    return {path: Bytes(path.read_bytes()) for path in (ct, mri)}


@pytest.fixture
def readers(volumes, caplog):
    caplog.set_level("ERROR")
    ct, mri = volumes
    return {
        ct: (ct.parent, [open_lodopab], examine_slices, SliceFile(ct, None, False, frozenset())),
        mri: (mri.parent.parent, [open_fastmri, k_space], examine_volume, mri),
    }


def k_space(source, split, image_shape, count, seed):
    return open_k_space(source, split, count=count, seed=seed)


def check_readers(readers, path):
    folder, open_splits, examine, file = readers[path]
    trainable = all([used(open_split, folder) for open_split in open_splits])
    assert trainable or not sound(examine, file)
    return trainable


def rewrite(path, content):
    path.unlink()  # readers remember a file by its time and size
    path.write_bytes(content)


@many(400)
@given(which=st.integers(0, 1), edits=EDITS, length=LENGTH, header=st.booleans())
def test_damaged_stacks(volumes, readers, which, edits, length, header):
    path = list(volumes)[which]
    rewrite(path, damaged(volumes[path], edits, length, first_bytes=6000 if header else None))
    check_readers(readers, path)


VALUES = st.sampled_from([0, 0.5, 1, -1, 2000, np.nan, np.inf, 1e38, 1e-40])
SHAPES = [(2, 362, 362), (2, 320, 320), (1, 640, 368)]
SIDES = st.sampled_from([0, 1, 319, 320, 362, 363])


@many(150)
@given(
    which=st.integers(0, 1),
    dtype=st.sampled_from(["f2", "f4", "f8", ">f4", "c8", ">c16", "i4", "u1", "S3", "bool"]),
    shape=st.one_of(
        st.sampled_from(SHAPES),
        st.tuples(st.integers(0, 3), SIDES, SIDES),
        st.lists(st.integers(0, 3), max_size=4).map(tuple),
    ),
    value=VALUES,
    other=VALUES,
)
def test_stacks_of_other_kinds(volumes, readers, which, dtype, shape, value, other):
    path = list(volumes)[which]
    path.unlink()
    with h5py.File(path, "w") as file, np.errstate(all="ignore"):
        stack = np.full(shape, value).astype(dtype)
        stack.flat[::3] = np.asarray(other).astype(dtype)
        file[("data", "kspace")[which]] = stack
    check_readers(readers, path)


OTHER = np.full((2, 362, 362), 0.25, "f4")


def external_link(file, key, folder):
    file[key] = h5py.ExternalLink("secret.h5", "/data")


def soft_link(file, key, folder):
    file["way"] = h5py.ExternalLink("secret.h5", "/data")
    file[key] = h5py.SoftLink("/way")


def external_storage(file, key, folder):
    file.create_dataset(key, (1, 362, 362), "f4", external=[(str(folder / "secret.h5"), 0, 362 * 362 * 4)])


def virtual(file, key, folder):
    layout = h5py.VirtualLayout(OTHER.shape, "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "data", OTHER.shape)
    file.create_virtual_dataset(key, layout)


def unwritten(file, key, folder):
    file.create_dataset(key, (80_000, 500, 500), "f4")  # 80 GB that no file holds


def barely_written(file, key, folder):
    file.create_dataset(key, (80_000, 500, 500), "f4", chunks=(1, 500, 500), compression="gzip")[0] = 0.5


def too_many(file, key, folder):
    file.create_dataset(key, (2**40, 362, 362), "f4", chunks=(1, 362, 362))


def one_chunk(file, key, folder):
    file.create_dataset(key, (1500, 362, 362), "f4", chunks=(1500, 362, 362), compression="gzip")


def a_group(file, key, folder):
    file.create_group(key)


def itself(file, key, folder):
    file[key] = h5py.SoftLink(f"/{key}")


TRAPS = {
    external_link: "is a link to elsewhere; refused",
    soft_link: "is a link to elsewhere; refused",
    itself: "is a link to elsewhere; refused",
    external_storage: "are in other files; refused",
    virtual: "are in other files; refused",
    unwritten: "would be 80,000,000,000 bytes, but 0 are stored",
    barely_written: "would be 80,000,000,000 bytes",
    too_many: "is too large; 100000 slices of 4096x4096 are the most",
    one_chunk: "is stored in chunks of",
    a_group: "has no array 'data'",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_stack_reads_no_other_file_and_no_more_than_is_there(tmp_path, trap):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = OTHER
    path = tmp_path / "ground_truth_train_000.hdf5"
    with h5py.File(path, "w") as file:
        trap(file, "data", tmp_path)
    with pytest.raises(DataError, match=TRAPS[trap]) as caught:
        open_lodopab(tmp_path, "train", image_shape=SHAPE, count=1, seed=0)
    assert str(caught.value).startswith(f"{path}: ")
    assert not sound(examine_slices, SliceFile(path, None, False, frozenset()))
