import h5py
import numpy as np
import pytest

from bench.data.base import DataError
from bench.data.formats.lodopab import PUBLISHED_SLICES, open_lodopab


def opened(source, split="train", image_shape=(362, 362), count=10_000, seed=0):
    return open_lodopab(source, split, image_shape=image_shape, count=count, seed=seed)


def test_slices_are_counted_over_the_files_of_the_split(tmp_path, write_slices):
    write_slices(tmp_path / "ground_truth_train_000.hdf5", number=2)
    write_slices(tmp_path / "ground_truth_train_001.hdf5", number=1, first=0.5)
    write_slices(tmp_path / "ground_truth_test_000.hdf5", number=1, first=0.9)
    split = opened(tmp_path)
    assert [item.name for item in split] == [f"ground_truth_train_00{n}" for n in ("0/0", "0/1", "1/0")]
    assert [item.group for item in split] == ["ground_truth_train_000"] * 2 + ["ground_truth_train_001"]
    assert [round(float(item.image.mean()), 3) for item in split] == [0.1, 0.11, 0.5]
    assert split[0].image.shape == (1, 362, 362)
    assert len(opened(tmp_path, "test")) == 1


def test_small_shapes_are_averaged_and_rounding_is_clipped(tmp_path):
    data = np.random.default_rng(0).uniform(-5e-4, 1 + 5e-4, (1, 362, 362)).astype(np.float32)
    with h5py.File(tmp_path / "ground_truth_test_000.hdf5", "w") as file:
        file["data"] = data
    expected = data.clip(0, 1).reshape(1, 181, 2, 181, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(opened(tmp_path, "test", (181, 181))[0].image, expected, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-1000, 2000), (0, 1.01), (-0.01, 0.5)])
def test_values_in_other_units_are_refused(tmp_path, low, high):
    data = np.full((2, 362, 362), 0.25, np.float32)
    data[0, 0, 0], data[1, 0, :2] = 0.5, (low, high)
    with h5py.File(tmp_path / "ground_truth_test_000.hdf5", "w") as file:
        file["data"] = data
    split = opened(tmp_path, "test")
    assert split[0].image.max() == 0.5
    with pytest.raises(DataError, match=r"slice 1 has values from .* they lie in \[0, 1\]"):
        split[1]


def test_the_genuine_set_is_known_by_its_number_of_files_and_its_padding_left_out(tmp_path, write_slices):
    for number in range(27):  # never opened: the published count is enough
        (tmp_path / f"ground_truth_validation_{number:03d}.hdf5").touch()
    write_slices(tmp_path / "ground_truth_validation_027.hdf5", number=128, first=0.0)
    split = opened(tmp_path, "validation")
    assert len(split) == PUBLISHED_SLICES["validation"] == 3522
    assert split[3521].name == "ground_truth_validation_027/65"
    assert float(split[3521].image.mean()) == pytest.approx(0.65)
    assert split.references[300].path.name == "ground_truth_validation_002.hdf5"
    assert split.references[300].row == 300 - 256


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_blank_slices_are_left_out_by_name_wherever_they_stand(tmp_path, write_slices, caplog, split):
    for number, blank in enumerate((slice(1, 2), slice(6, 16), slice(0, 0))):
        path = tmp_path / f"ground_truth_{split}_{number:03d}.hdf5"
        write_slices(path, number=16, first=0.1 + 0.2 * number)
        with h5py.File(path, "a") as file:
            file["data"][blank] = 0.25 * number
    (tmp_path / f"index_{split}.csv").write_text("patient\n" + "".join(f"P{n}\n" for n in range(48)))
    whole = opened(tmp_path, split)
    left = [n for n in range(48) if n != 1 and not 22 <= n < 32]
    assert [reference.group for reference in whole.references] == [f"P{n}" for n in left]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"{tmp_path / f'ground_truth_{split}_00{number}.hdf5'}: blank, so left out: slice {rows}"
        for number, rows in ((0, "1"), (1, "6-15"))
    ]
    few = [left.index(int(reference.group[1:])) for reference in opened(tmp_path, split, count=9).references]
    assert set(np.diff(few)) == {4, 5}  # 37 slices, evenly
    assert len(caplog.records) == 2  # told once


def test_a_split_of_blank_slices_is_refused(tmp_path, write_slices):
    write_slices(tmp_path / "ground_truth_test_000.hdf5", number=2, first=-0.01)
    with h5py.File(tmp_path / "ground_truth_test_000.hdf5", "a") as file:
        file["data"][:] = 0
    with pytest.raises(DataError, match=rf"^{tmp_path}: every test slice is blank"):
        opened(tmp_path, "test")


def test_patients_of_the_genuine_set_are_its_groups(tmp_path):
    for number in range(28):
        (tmp_path / f"ground_truth_test_{number:03d}.hdf5").touch()
    patients = np.random.default_rng(0).integers(692, 752, PUBLISHED_SLICES["test"])
    (tmp_path / "patient_ids_rand_test.csv").write_text("".join(f"{patient}\n" for patient in patients))
    assert [slice_.group for slice_ in opened(tmp_path, "test").references] == patients.astype(str).tolist()


def test_patients_are_read_from_an_index_beside_the_slices(tmp_path, write_slices):
    write_slices(tmp_path / "ground_truth_train_000.hdf5", number=3)
    (tmp_path / "index_train.csv").write_text('index,source_file,patient\n0,"a,b",P1\n1,c,P1\n2,d,P7\n')
    assert [item.group for item in opened(tmp_path)] == ["P1", "P1", "P7"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("index,patient\n0,P1\n", "lists 1 slices, but the split has 2"),
        ("index,subject\n0,P1\n1,P2\n", "patient"),
        ("index,patient\n0\n1\n", "list of patients"),
        ("", "list of patients"),
    ],
)
def test_an_index_that_does_not_fit_is_named(tmp_path, write_slices, text, word):
    write_slices(tmp_path / "ground_truth_train_000.hdf5", number=2)
    (tmp_path / "index_train.csv").write_text(text)
    with pytest.raises(DataError, match=rf"index_train\.csv: .*{word}"):
        opened(tmp_path)


def test_a_file_without_a_slice_is_named(tmp_path):
    with h5py.File(tmp_path / "ground_truth_train_000.hdf5", "w") as file:
        file["data"] = np.zeros((0, 362, 362), dtype="f4")
    with pytest.raises(DataError, match=r"ground_truth_train_000\.hdf5: .*\(0, 362, 362\)"):
        opened(tmp_path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"key": "images"}, "no array 'data' .*images"),
        ({"size": 361}, "362x362.*361"),
        ({"dtype": "u1"}, "floating-point.*uint8"),
    ],
)
def test_a_file_of_another_layout_is_named(tmp_path, write_slices, options, word):
    write_slices(tmp_path / "ground_truth_train_000.hdf5")
    write_slices(tmp_path / "ground_truth_train_001.hdf5", **options)
    with pytest.raises(DataError, match=rf"ground_truth_train_001\.hdf5: .*{word}"):
        opened(tmp_path)


@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_text("<html>quota</html>")])
def test_a_truncated_file_or_html_page_is_named(tmp_path, write_slices, damage):
    path = tmp_path / "ground_truth_train_000.hdf5"
    write_slices(path)
    damage(path)
    with pytest.raises(DataError, match=rf"^{path}: cannot be read as HDF5") as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_damage_inside_the_data_is_named_when_the_slice_is_read(tmp_path, write_slices):
    path = tmp_path / "ground_truth_train_000.hdf5"
    write_slices(path, number=3)
    split = opened(tmp_path)
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    assert float(split[0].image.mean()) == pytest.approx(0.1)
    with pytest.raises(DataError, match=rf"^{path}: cannot be read"):
        split[1]


def test_a_file_that_vanishes_or_shrinks_after_opening_is_named(tmp_path, write_slices):
    path = tmp_path / "ground_truth_train_000.hdf5"
    write_slices(path, number=2)
    split = opened(tmp_path)
    write_slices(path, number=1)
    with pytest.raises(DataError, match=rf"^{path}: no 362x362 slice 1"):
        split[1]
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path}: no such file"):
        split[0]


def test_a_folder_without_the_split_is_named(tmp_path, write_slices):
    write_slices(tmp_path / "ground_truth_test_000.hdf5", number=1)
    with pytest.raises(DataError, match=rf"^{tmp_path}: has no file ground_truth_train_"):
        opened(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        opened(tmp_path / "nowhere")


@pytest.mark.real_data
def test_real_slices(real_data):
    groups = {}
    for split, count, patients in (("train", 50, 31), ("validation", 10, 3), ("test", 15, 11)):
        slices = opened(real_data / "ct", split)
        assert len(slices) == count
        groups[split] = {reference.group for reference in slices.references}
        assert len(groups[split]) == patients
        image = slices[count // 2].image
        assert image.shape == (1, 362, 362)
        assert 0 <= image.min() < image.max() <= 1
        # Soft tissue, near 0.25, is the largest part of a chest that is no air.
        assert 0.2 < image[image > 0.15].median() < 0.3
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
