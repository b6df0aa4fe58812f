import h5py
import numpy as np
import pytest
import torch

from bench.data.base import DataError
from bench.data.formats.observations import open_observations
from bench.tasks import TASKS

CPU = torch.device("cpu")


def opened(source, split="train", count=100):
    return open_observations(source, split, count=count, seed=0)


def test_every_fifth_angle_is_what_the_tasks_operator_measures(tmp_path, write_observations):
    images = write_observations(tmp_path)
    pairs = opened(tmp_path)
    assert [item.name for item in pairs] == ["ground_truth_train_000/0", "ground_truth_train_000/1"]
    for item, image in zip(pairs, images, strict=True):
        np.testing.assert_array_equal(item.image[0], image)
        operator, y = TASKS["ct"].measured.acquire(item, CPU)
        assert y.shape == (1, *operator.data_shape) == (1, 1, 200, 513)
        # The disc has edges of whole pixels, its sinogram has not.
        assert (operator(item.image[None]) - y).norm() < 0.03 * y.norm()
        assert item.file == "observation_train_000.hdf5"


def test_the_rows_used_are_those_of_range_0_1000_5(tmp_path, write_observations):
    write_observations(tmp_path, number=1)
    with h5py.File(tmp_path / "observation_train_000.hdf5", "a") as file:
        file["data"][0] = np.arange(1000)[:, None] + np.linspace(0, 0.5, 513)
    measured = opened(tmp_path)[0].measurements[0]
    assert measured[:, 256].floor().tolist() == [*range(500, 1000, 5), *range(0, 500, 5)]
    assert (measured[:100].diff() > 0).all()
    assert (measured[100:].diff() < 0).all()  # a half turn on, the detector runs backwards


def test_observations_padded_with_zeros_leave_the_number_of_slices_to_the_ground_truth(tmp_path, write_observations):
    write_observations(tmp_path, rows=5)
    assert len(opened(tmp_path)) == 2


def test_a_blank_slice_is_left_out_with_its_observation(tmp_path, write_observations):
    write_observations(tmp_path, number=3)
    with h5py.File(tmp_path / "ground_truth_train_000.hdf5", "a") as file:
        file["data"][1] = 0
    assert [item.name[-2:] for item in opened(tmp_path)] == ["/0", "/2"]


def test_a_missing_observation_file_is_named_at_once(tmp_path, write_observations):
    write_observations(tmp_path)
    (tmp_path / "observation_train_000.hdf5").unlink()
    with pytest.raises(DataError, match=r"observation_train_000\.hdf5: no such file"):
        opened(tmp_path)


@pytest.mark.parametrize(("shape", "word"), [((2, 1000, 512), "1000x513"), ((1, 1000, 513), "observation 1 in")])
def test_observations_of_another_shape_are_named(tmp_path, write_observations, shape, word):
    write_observations(tmp_path)
    with h5py.File(tmp_path / "observation_train_000.hdf5", "w") as file:
        file["data"] = np.zeros(shape, "f4")
    with pytest.raises(DataError, match=rf"observation_train_000\.hdf5: .*{word}"):
        opened(tmp_path)[1]


def test_no_file_stays_open(tmp_path, write_observations):
    write_observations(tmp_path)
    list(opened(tmp_path))
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
