"""HDF5 files that are damaged or made to do harm: read, or refused in one line, and none reads another file."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.audits.fastmri import examine_volume
from bench.data.audits.lodopab import SliceFile, examine_slices
from bench.data.base import DataError
from bench.data.formats.fastmri import open_fastmri
from bench.data.formats.kspace import open_k_space
from bench.data.formats.lodopab import open_lodopab
from tests.bench.data.hostile import EDITS, LENGTH, SHAPE, damaged, many, sound, used


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


@many(250)
@given(which=st.integers(0, 1), edits=EDITS, length=LENGTH, header=st.booleans())
def test_damaged_stacks(volumes, readers, which, edits, length, header):
    path = list(volumes)[which]
    rewrite(path, damaged(volumes[path], edits, length, first_bytes=6000 if header else None))
    check_readers(readers, path)


@many(50)
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60), st.just("patient\na\nb")))
def test_lists_of_patients_of_others_making(volumes, readers, text):
    path = next(iter(volumes))
    rewrite(path, volumes[path])
    path.with_name("index_train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    used(open_lodopab, path.parent)
    path.with_name("index_train.csv").unlink()


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
