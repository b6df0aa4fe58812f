"""Files that records name: inside the results folder alone, and images of the documented kind alone."""

import zipfile

import numpy as np
import pytest

from bench.records.store import ResultStore, StoreError
from tests.records import make_provenance, make_spec


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


OUTSIDE = ["/etc/passwd", "../x.npz", "a/../../x.npz", "C:\\x", "..\\x", "link/x.npz", "\0", "loop/x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_files_outside_the_results_folder_are_refused(name, store, tmp_path):
    store.check_writable()
    (tmp_path / "x.npz").write_bytes(b"")
    (store.root / "link").symlink_to(tmp_path)
    (store.root / "loop").symlink_to("loop")
    with pytest.raises(StoreError, match="outside the results folder"):
        store.example(name)


def test_links_inside_the_results_folder_are_followed(store):
    relative = store.add_example(make_spec(), make_provenance(), **images())
    (store.root / "link").symlink_to("examples")
    assert store.example(relative.replace("examples", "link"))["start"].shape == (1, 2, 3)


def images(**changes):
    return dict.fromkeys(("start", "reconstruction", "truth"), np.zeros((1, 2, 3), np.float32)) | changes


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)),
        np.zeros((1, 2, 3), int),
        np.zeros((0, 2, 3)),
        np.array([[[None]]], object),
        np.zeros((1, 2, 3), complex),
        np.zeros((1, 1, 1), [("a", "f4")]),
    ],
    ids=str,
)
def test_examples_of_other_shapes_and_types_are_refused(array, store):
    path = store.root / "examples" / "x.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **images(truth=array))
    with pytest.raises(StoreError, match=r"x\.npz: not a valid example: "):
        store.example("examples/x.npz")


@pytest.mark.parametrize("declared", [None, 100])
def test_examples_that_inflate_beyond_bounds_are_refused(declared, store, monkeypatch):
    monkeypatch.setattr("bench.records.examples.MOST_BYTES", 10_000)
    relative = store.add_example(make_spec(), make_provenance(), **images(truth=np.zeros((1, 100, 100), np.float32)))
    path = store.root / relative
    if declared is not None:  # a lie about the size, in both headers of the member
        path.write_bytes(path.read_bytes().replace((20_128).to_bytes(4, "little"), declared.to_bytes(4, "little")))
    with pytest.raises(StoreError, match="not a valid example"):
        store.example(relative)


def test_headers_that_claim_more_than_there_is_are_refused(store):
    relative = store.add_example(make_spec(), make_provenance(), **images())
    huge = "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1000000, 1000000), }"
    npy = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + huge.ljust(117).encode() + b"\n"
    with zipfile.ZipFile(store.root / relative, "w") as archive:
        for key in images():
            archive.writestr(f"{key}.npy", npy)
    with pytest.raises(StoreError, match="not a valid example"):
        store.example(relative)
