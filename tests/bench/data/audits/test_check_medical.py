"""What the check finds in LoDoPaB-CT's and fastMRI's files."""

import re

import h5py
import numpy as np
import pytest


def rewrite(path, data, key="data"):
    with h5py.File(path, "w") as file:
        file[key] = data


def edit(path, row, value):
    with h5py.File(path, "a") as file:
        file["data"][row] = value


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("name", "damage", "word"),
    [
        ("ground_truth_test_000", truncate, "cannot be read as HDF5"),
        ("ground_truth_test_000", lambda p: rewrite(p, np.ones((2, 362, 362), "f4"), "image"), "no array 'data'"),
        ("ground_truth_test_000", lambda p: edit(p, 1, 0), "slice 1 is blank: it is zero everywhere"),
        ("ground_truth_test_000", lambda p: edit(p, 1, 0.5), "slice 1 is blank: it is 0.5 everywhere"),
        ("ground_truth_test_000", lambda p: edit(p, 1, np.nan), "slice 1 holds values that are not finite"),
        ("ground_truth_test_000", lambda p: edit(p, 1, 1.5), r"\[0, 1\], they lie in \[0, 1.5\]"),
        ("observation_test_000", truncate, "cannot be read as HDF5"),
        ("observation_test_000", lambda p: p.rename(p.with_name("observation_test_001.hdf5")), "no such file"),
        ("observation_test_000", lambda p: rewrite(p, np.ones((2, 1000, 512), "f4")), r"\(slices, 1000, 513\)"),
        ("observation_test_000", lambda p: rewrite(p, np.ones((2, 1000, 513), "f8")), "float32, it is float64"),
        ("observation_test_000", lambda p: rewrite(p, np.ones((1, 1000, 513), "f4")), "1 rows for 2 slices"),
        ("observation_test_000", lambda p: edit(p, 1, np.inf), "observation 1 holds values that are not finite"),
    ],
)
def test_a_broken_lodopab_file_is_named(lodopab, name, damage, word, problems):
    damage(lodopab / f"{name}.hdf5")
    found = problems(lodopab, "ct")
    assert found
    for line in found:
        assert line.startswith(f"{lodopab / name}.hdf5: ")
    assert any(re.search(word, line) for line in found)


def test_padding_of_the_last_observation_file_is_no_problem(tmp_path, write_observations, problems):
    for split in ("train", "validation", "test"):
        write_observations(tmp_path, split=split, rows=4)
    assert problems(tmp_path) == []


def other_direction(data):
    return data[:, ::-1]


def exchanged(data):
    return data[::-1]


@pytest.mark.parametrize("change", [other_direction, exchanged])
def test_observations_that_are_not_of_their_slices_are_found(lodopab, change, problems):
    path = lodopab / "observation_train_000.hdf5"
    with h5py.File(path) as file:
        data = change(file["data"][()])
    rewrite(path, data)
    (problem,) = problems(lodopab)
    assert "observation 0 is not of slice 0" in problem


def test_a_gap_between_files_and_a_patient_of_two_splits_are_named(tmp_path, write_slices, problems):
    for name in ("train_000", "train_002", "validation_000", "test_000"):
        write_slices(tmp_path / f"ground_truth_{name}.hdf5")
    for split, patients in (("train", "ABCD"), ("validation", "EF"), ("test", "GA")):
        (tmp_path / f"index_{split}.csv").write_text("patient\n" + "".join(f"{p}\n" for p in patients))
    assert problems(tmp_path) == [
        f"{tmp_path / 'ground_truth_train_001.hdf5'}: no such file",
        f"{tmp_path}: patient A is in the train and in the test split",
    ]


def without(key):
    def damage(path):
        with h5py.File(path, "a") as file:
            del file[key]

    return damage


def replaced(key, change):
    def damage(path):
        with h5py.File(path, "a") as file:
            data = change(file[key][()])
            del file[key]
            file[key] = data

    return damage


def restate(path):
    with h5py.File(path, "a") as file:
        file.attrs["max"] *= 2


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (truncate, "cannot be read as HDF5"),
        (without("kspace"), "has no array 'kspace'"),
        (without("reconstruction_esc"), "has no array 'reconstruction_esc'"),
        (without("ismrmrd_header"), "has no 'ismrmrd_header'"),
        (replaced("kspace", lambda data: data.astype("c16")), "complex64, it is complex128"),
        (replaced("kspace", lambda data: data[..., :300]), "smaller than 320x320"),
        (replaced("kspace", lambda data: data[:, ::-1]), "slice 0 of 'kspace' and 'reconstruction_esc' differ"),
        (replaced("reconstruction_esc", lambda data: data[:1]), r"must be float32 \(2, 320, 320\)"),
        (replaced("reconstruction_esc", lambda data: data * np.nan), "not finite"),
        (restate, "attribute 'max'"),
        (replaced("reconstruction_esc", lambda data: data * 0), "slice 1 is blank: it is zero everywhere"),
    ],
)
def test_a_broken_volume_is_named(fastmri, damage, word, problems):
    path = fastmri / "singlecoil_val" / "v1.h5"
    damage(path)
    found = problems(fastmri)
    assert found
    assert all(line.startswith(f"{path}: ") for line in found)
    assert any(re.search(word, line) for line in found)


def test_undersampled_test_volumes_are_as_published(fastmri, write_volume, caplog, problems):
    write_volume(fastmri / "singlecoil_test" / "v2.h5", 2, 640, 368, reference=False, mask=True)
    (fastmri / "singlecoil_test" / "notes.txt").write_text("stray")
    assert problems(fastmri) == []
    assert "notes.txt: skipped, not an .h5 volume" in caplog.text
