import tracemalloc

import h5py
import numpy as np
import pytest
import torch

from bench.data.formats.fastmri import open_fastmri
from bench.data.formats.kspace import open_k_space
from bench.tasks import TASKS

CPU = torch.device("cpu")
WIDTHS = {"file1.h5": 368, "file2.h5": 372, "file3.h5": 333}


@pytest.fixture
def knees(tmp_path, write_volume):
    """Volumes of different widths, as the scanners of fastMRI wrote them."""
    for seed, (name, width) in enumerate(WIDTHS.items()):
        write_volume(tmp_path / "singlecoil_train" / name, 2, 640, width, seed=seed)
    return tmp_path


def opened(source, split="train"):
    return open_k_space(source, split, count=100, seed=0)


def test_volumes_keep_their_own_width_and_are_scaled_by_their_own_maximum(knees):
    for item in opened(knees):
        assert item.measurements.shape == (640, WIDTHS[item.file])
        with h5py.File(knees / "singlecoil_train" / item.file) as file:
            reference = file["reconstruction_esc"][int(item.name[-1])] / file.attrs["max"]
        np.testing.assert_allclose(item.image.norm(dim=0), reference, atol=2e-5)


def test_an_image_is_measured_at_full_width_and_cropped_after_its_reconstruction(knees):
    task = TASKS["mri4x"]
    item = opened(knees)[0]
    operator, y = task.measured.acquire(item, CPU)
    assert y.shape == (1, *operator.data_shape) == (1, 640, 368)
    assert not y[..., ~operator.sampling_mask].any()
    assert torch.equal(y[0][:, operator.sampling_mask], item.measurements[:, operator.sampling_mask])
    start = operator.adjoint(y)[0]
    assert start.shape == (2, 640, 368)
    assert task.display(start).shape == task.display(item.image).shape == (1, 320, 320)


def test_all_of_k_space_gives_the_reference_back(knees):
    task, item = TASKS["mri4x"], opened(knees)[2]
    whole = task.operator_at((640, WIDTHS[item.file]), CPU, acceleration=1)
    shown = task.display(whole.adjoint(item.measurements[None])[0])
    torch.testing.assert_close(shown, task.display(item.image), rtol=0, atol=2e-5)


def test_the_mask_is_the_volumes_own_whichever_slice_or_split_is_read(knees):
    masks = {}
    for item in opened(knees):
        operator, _ = TASKS["mri8x"].measured.acquire(item, CPU)
        assert operator.sampling_mask.sum() == round(WIDTHS[item.file] / 8)
        assert torch.equal(masks.setdefault(item.file, operator.sampling_mask), operator.sampling_mask)
    (knees / "singlecoil_train" / "file1.h5").rename(knees / "singlecoil_train" / "other.h5")
    renamed = next(item for item in opened(knees) if item.file == "other.h5")
    operator, _ = TASKS["mri8x"].measured.acquire(renamed, CPU)
    assert not torch.equal(operator.sampling_mask, masks["file1.h5"])


def test_the_centre_of_k_space_is_real_and_the_magnitude_that_of_the_cropped_reader(knees):
    cropped = open_fastmri(knees, "train", image_shape=(320, 320), count=100, seed=0)
    for item, other in zip(opened(knees), cropped, strict=True):
        height, width = item.measurements.shape
        centre = item.measurements[height // 2, width // 2]
        assert centre.real > 0
        assert centre.imag.abs() < 1e-5 * centre.real
        assert item.measurements.dtype == torch.complex64
        torch.testing.assert_close(item.image.norm(dim=0), other.image.norm(dim=0), rtol=0, atol=2e-5)


@pytest.mark.real_data
def test_real_volumes(real_data):
    shapes = set()
    for item in opened(real_data / "mri" / "fastmri_layout", "test"):
        operator, y = TASKS["mri4x"].measured.acquire(item, CPU)
        shapes.add(y.shape)
        start = TASKS["mri4x"].display(operator.adjoint(y)[0])
        truth = TASKS["mri4x"].display(item.image)
        assert torch.nn.functional.cosine_similarity(start.flatten(), truth.flatten(), dim=0) > 0.8
    assert shapes == {(1, 320, 320), (1, 384, 320)}


def test_reading_a_slice_takes_the_memory_of_one_however_many_the_volume_has(tmp_path, write_volume):
    peaks = []
    for slices in (2, 16):
        write_volume(tmp_path / str(slices) / "train" / "a.h5", slices, 320, 368)
        volumes = opened(tmp_path / str(slices))
        tracemalloc.start()
        volumes[1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0  # nothing stays open
