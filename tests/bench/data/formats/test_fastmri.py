import logging

import h5py
import numpy as np
import pytest

from bench.data.base import DataError
from bench.data.formats.fastmri import open_fastmri
from bench.data.formats.fastmri_volume import volume_peak
from bench.data.resample import crop_centre, resize


def opened(source, split="train", image_shape=(320, 320), count=10_000, seed=0):
    return open_fastmri(source, split, image_shape=image_shape, count=count, seed=seed)


def channels(images):
    """Crop (slices, H, W), make every sum real and divide by the largest magnitude: (slices, 2, 320, 320)."""
    cropped = crop_centre(images, (320, 320))
    total = cropped.sum(axis=(1, 2), keepdims=True)
    cropped = cropped * total.conj() / np.abs(total)
    return np.stack([cropped.real, cropped.imag], axis=1) / np.abs(cropped).max()


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize(("height", "width"), [(640, 368), (322, 333)])
def test_slices_are_the_centred_unitary_transform_cropped_and_scaled(tmp_path, write_volume, height, width, reference):
    images = write_volume(tmp_path / "singlecoil_train" / "file1.h5", 2, height, width, reference=reference)
    split = opened(tmp_path)
    assert [item.name for item in split] == ["file1/0", "file1/1"]
    for item, expected in zip(split, channels(images), strict=True):
        assert item.image.shape == (2, 320, 320)
        np.testing.assert_allclose(item.image, expected, atol=2e-5)
    assert max(float(item.image.norm(dim=0).max()) for item in split) == pytest.approx(1, abs=1e-5)


def test_small_shapes_average_real_and_imaginary_part(tmp_path, write_volume):
    images = write_volume(tmp_path / "train" / "a.h5", slices=1)
    image = opened(tmp_path, image_shape=(64, 48))[0].image
    np.testing.assert_allclose(image, resize(channels(images)[0].astype(np.float32), (64, 48)), atol=2e-5)


def test_groups_are_patients_and_volumes_without_one_are_their_own(tmp_path, write_volume):
    for name, patient in (("file2", "P1"), ("file10", b"P1"), ("file11", None)):
        write_volume(tmp_path / "train" / f"{name}.h5", 1, 320, 320, patient=patient)
    assert [(item.name, item.group) for item in opened(tmp_path)] == [
        ("file2/0", "P1"),
        ("file10/0", "P1"),
        ("file11/0", "file11"),
    ]


def test_count_spreads_over_the_volumes(tmp_path, write_volume):
    for number in range(3):
        write_volume(tmp_path / "train" / f"v{number}.h5", 4, 320, 320)
    assert [volume.path.stem for volume, _ in opened(tmp_path, count=3).references] == ["v0", "v1", "v2"]


def test_blank_slices_are_left_out_by_name(tmp_path, write_volume, caplog):
    for number in range(2):
        write_volume(tmp_path / "train" / f"v{number}.h5", 4, 320, 320)
    path = tmp_path / "train" / "v1.h5"
    with h5py.File(path, "a") as file:
        file["kspace"][1:3] = 0
        file["kspace"][0, 160] = 0  # a line that was not measured leaves an image
    assert [item.name for item in opened(tmp_path)] == ["v0/0", "v0/1", "v0/2", "v0/3", "v1/0", "v1/3"]
    assert f"{path}: blank, so left out: slice 1-2" in caplog.text
    with h5py.File(path, "a") as file:
        file["kspace"][:] = 0
    (tmp_path / "train" / "v0.h5").unlink()
    with pytest.raises(DataError, match=rf"^{tmp_path}: every train slice is blank"):
        opened(tmp_path)


def test_stray_files_are_skipped_with_a_warning(tmp_path, write_volume, caplog):
    write_volume(tmp_path / "train" / "a.h5", 1, 320, 320)
    for name in ("notes.txt", ".a.h5", "a.h5.part"):
        (tmp_path / "train" / name).write_text("stray")
    with caplog.at_level(logging.WARNING, logger="bench.data.formats.fastmri"):
        assert len(opened(tmp_path)) == 1
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 3
    for name in ("notes.txt", ".a.h5", "a.h5.part"):
        assert any(f"{tmp_path / 'train' / name}: skipped" in message for message in warned)


@pytest.fixture
def shared(tmp_path, write_volume):
    """Five validation volumes of four patients, and test volumes as genuine ones: undersampled."""
    for number, patient in enumerate(["A", "B", "B", "C", "D"]):
        write_volume(tmp_path / "singlecoil_val" / f"v{number}.h5", 1, 320, 320, patient=patient)
    write_volume(tmp_path / "singlecoil_test" / "t.h5", 1, 320, 320, reference=False, mask=True)
    return tmp_path


def test_undersampled_test_volumes_give_way_to_patients_of_the_validation_folder(shared):
    assert [item.group for item in opened(shared, "validation")] == ["A", "C"]
    assert [item.group for item in opened(shared, "test")] == ["B", "B", "D"]


def test_so_does_a_missing_test_folder(shared):
    (shared / "singlecoil_test" / "t.h5").unlink()
    (shared / "singlecoil_test").rmdir()
    assert [item.name for item in opened(shared, "test")] == ["v1/0", "v2/0", "v4/0"]


def test_a_usable_test_folder_leaves_the_validation_folder_whole(shared, write_volume):
    write_volume(shared / "singlecoil_test" / "t.h5", 1, 320, 320)
    assert len(opened(shared, "validation")) == 5
    assert [item.name for item in opened(shared, "test")] == ["t/0"]


def test_one_patient_cannot_be_shared(tmp_path, write_volume):
    write_volume(tmp_path / "val" / "a.h5", 1, 320, 320)
    assert len(opened(tmp_path, "validation")) == 1
    with pytest.raises(DataError, match=rf"^{tmp_path / 'val'}: one patient"):
        opened(tmp_path, "test")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def without_k_space(path):
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros(3)


def magnitudes_only(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros((1, 320, 320), dtype="f4")


def multicoil(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros((1, 4, 320, 320), dtype="c8")


def narrow(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros((1, 640, 319), dtype="c8")


def undersampled(path):
    with h5py.File(path, "a") as file:
        file["mask"] = np.zeros(320)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (truncate, "cannot be read as HDF5"),
        (lambda path: path.write_text("<html>"), "cannot be read as HDF5"),
        (without_k_space, "no array 'kspace'"),
        (magnitudes_only, "complex.*float32"),
        (multicoil, r"complex \(slices, H, W\).*\(1, 4, 320, 320\)"),
        (narrow, "smaller than 320x320"),
        (undersampled, "undersampled"),
    ],
)
def test_a_broken_volume_is_named(tmp_path, write_volume, damage, word):
    path = tmp_path / "train" / "bad.h5"
    write_volume(tmp_path / "train" / "a.h5", 1, 320, 320)
    write_volume(path, 1, 320, 320)
    damage(path)
    with pytest.raises(DataError, match=rf"^{path}: .*{word}"):
        opened(tmp_path)


@pytest.mark.parametrize(("factor", "word"), [(0.5, "slice 0 is 2 times"), (0.0, "largest magnitude is 0")])
def test_a_reference_that_contradicts_the_k_space_is_named(tmp_path, write_volume, factor, word):
    path = tmp_path / "train" / f"{factor}.h5"
    write_volume(path, 1, 320, 320)
    with h5py.File(path, "a") as file:
        file["reconstruction_esc"][...] *= factor
    with pytest.raises(DataError, match=rf"^{path}: .*{word}"):
        opened(tmp_path)[0]


@pytest.mark.parametrize("names", [(), ("train",)])
def test_a_missing_or_empty_folder_is_named(tmp_path, names):
    folder = tmp_path.joinpath(*names)
    folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=rf"^{folder}: "):
        opened(tmp_path)


@pytest.mark.real_data
def test_real_volumes_agree_with_their_own_reconstruction(real_data):
    layout = real_data / "mri" / "fastmri_layout"
    groups = {}
    for split, count in (("train", 8), ("validation", 4), ("test", 8)):
        slices = opened(layout, split)
        assert len(slices) == count
        groups[split] = {volume.group for volume, _ in slices.references}
        volume, position = slices.references[1]
        with h5py.File(volume.path) as file:
            reference = file["reconstruction_esc"][position] / volume_peak(volume.path)
        np.testing.assert_allclose(slices[1].image.norm(dim=0), reference, atol=1e-4)
    assert not groups["train"] & groups["test"]
    assert not groups["validation"] & groups["test"]
