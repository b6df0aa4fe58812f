"""``python -m bench.data check`` on small data sets in the genuine layouts, sound and broken."""

import io
import re
import zipfile

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from bench.data.__main__ import main
from bench.data.check import Report, check
from bench.progress import Reporter


def problems(source, task=None, complete=False):
    report = Report()
    check(source, task, complete=complete, report=report, reporter=Reporter(0, io.StringIO()))
    assert all("\n" not in line for line in report.problems)
    return report.problems


def the_problem(source, **options):
    (line,) = problems(source, **options)
    return line


@pytest.fixture
def photos(tmp_path, write_photo):
    for folder in ("train", "val", "test"):
        write_photo(tmp_path / folder / "a.png")
        write_photo(tmp_path / folder / "b.jpg")
    return tmp_path


@pytest.fixture
def celeba(tmp_path, write_photo):
    for number in range(3):
        write_photo(tmp_path / "img_align_celeba" / f"{number}.jpg", height=218, width=178)
    (tmp_path / "list_eval_partition.txt").write_text("0.jpg 0\n1.jpg 1\n2.jpg 2\n")
    return tmp_path


@pytest.fixture
def lodopab(tmp_path, write_observations):
    for split in ("train", "validation", "test"):
        write_observations(tmp_path, split=split)
    return tmp_path


@pytest.fixture
def fastmri(tmp_path, write_volume):
    for seed, (folder, width) in enumerate((("train", 368), ("val", 372), ("test", 320))):
        write_volume(tmp_path / f"singlecoil_{folder}" / f"v{seed}.h5", 2, 640, width, seed=seed)
    return tmp_path


@pytest.mark.parametrize("layout", ["photos", "celeba", "lodopab", "fastmri"])
def test_sound_sets_have_no_problem_and_are_told_apart(layout, request):
    source = request.getfixturevalue(layout)
    answer = CliRunner().invoke(main, ["check", "--data", str(source)], standalone_mode=False)
    assert answer.return_value == 0
    title = {"celeba": "CelebA", "lodopab": "LoDoPaB-CT", "fastmri": "fastMRI single-coil", "photos": "photographs"}
    assert f"{title[layout]}: nothing wrong" in " ".join(answer.output.split())


def test_problems_are_printed_a_line_each_and_counted(photos):
    (photos / "train" / "a.png").write_text("<html>")
    (photos / "val" / "b.jpg").write_bytes((photos / "val" / "b.jpg").read_bytes()[:300])
    answer = CliRunner().invoke(main, ["check", "--data", str(photos)], standalone_mode=False)
    assert answer.return_value == 1
    lines = answer.stdout.splitlines()
    assert lines[0].startswith(f"{photos / 'train' / 'a.png'}: is an HTML page")
    assert lines[1].startswith(f"{photos / 'val' / 'b.jpg'}: cannot be read as an image")
    assert "2 problems" in answer.stdout


def test_what_was_found_before_an_interrupt_is_printed(photos, monkeypatch):
    (photos / "train" / "a.png").write_text("<html>")

    def interrupt(self, text):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "finish", interrupt)
    answer = CliRunner().invoke(main, ["check", "--data", str(photos)])
    assert answer.exit_code == 1  # click's own; bench.cli.run makes it 130
    assert "a.png: is an HTML page" in answer.stdout


def test_a_split_without_images_is_one_problem_and_the_others_are_read(photos):
    for name in ("a.png", "b.jpg"):
        (photos / "test" / name).unlink()
    (photos / "train" / "a.png").write_bytes(b"")
    found = problems(photos)
    assert len(found) == 2
    assert "a.png: cannot be read" in found[0]
    assert f"{photos / 'test'}: no .jpg" in found[1]


def test_celeba_must_have_its_size_and_all_that_is_listed(celeba, write_photo):
    write_photo(celeba / "img_align_celeba" / "0.jpg", height=178, width=218)
    (celeba / "img_align_celeba" / "1.jpg").unlink()
    found = problems(celeba)
    assert "0.jpg: is 178 pixels high and 218 wide, not 218x178" in found[0]
    assert "1.jpg: listed in list_eval_partition.txt, but missing" in found[1]
    assert len(found) == 2


def test_a_quota_page_in_place_of_the_archive_or_the_list_is_the_problem(celeba):
    for path in (celeba / "img_align_celeba").iterdir():
        path.unlink()
    (celeba / "img_align_celeba").rmdir()
    (celeba / "img_align_celeba.zip").write_text("<html>Quota exceeded</html>")
    assert "img_align_celeba.zip: is an HTML page, not a zip archive" in the_problem(celeba)
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w") as archive:
        archive.writestr("../evil.jpg", b"x")
    assert "leads out of the archive; refused" in the_problem(celeba)
    (celeba / "list_eval_partition.txt").write_text("<html>Quota exceeded</html>")
    assert "list_eval_partition.txt: is an HTML page" in the_problem(celeba)


def test_counts_of_the_published_set_are_asked_for(celeba, fastmri):
    assert "the train split has 1 images, the published one 162770" in problems(celeba, "deblur", complete=True)[0]
    assert "the test split has 1 files, the published one 108" in problems(fastmri, "mri4x", complete=True)[2]


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
        ("ground_truth_test_000", lambda p: edit(p, 1, 0), "slice 1 is zero everywhere"),
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
def test_a_broken_lodopab_file_is_named(lodopab, name, damage, word):
    damage(lodopab / f"{name}.hdf5")
    found = problems(lodopab, "ct")
    assert found
    for line in found:
        assert line.startswith(f"{lodopab / name}.hdf5: ")
    assert any(re.search(word, line) for line in found)


def test_padding_of_the_last_observation_file_is_no_problem(tmp_path, write_observations):
    for split in ("train", "validation", "test"):
        write_observations(tmp_path, split=split, rows=4)
    assert problems(tmp_path) == []


def other_direction(data):
    return data[:, ::-1]


def exchanged(data):
    return data[::-1]


@pytest.mark.parametrize("change", [other_direction, exchanged])
def test_observations_that_are_not_of_their_slices_are_found(lodopab, change):
    path = lodopab / "observation_train_000.hdf5"
    with h5py.File(path) as file:
        data = change(file["data"][()])
    rewrite(path, data)
    assert "observation 0 is not of slice 0" in the_problem(lodopab)


def test_a_gap_between_files_and_a_patient_of_two_splits_are_named(tmp_path, write_slices):
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
    ],
)
def test_a_broken_volume_is_named(fastmri, damage, word):
    path = fastmri / "singlecoil_val" / "v1.h5"
    damage(path)
    found = problems(fastmri)
    assert found
    assert all(line.startswith(f"{path}: ") for line in found)
    assert any(re.search(word, line) for line in found)


def test_undersampled_test_volumes_are_as_published(fastmri, write_volume, caplog):
    write_volume(fastmri / "singlecoil_test" / "v2.h5", 2, 640, 368, reference=False, mask=True)
    (fastmri / "singlecoil_test" / "notes.txt").write_text("stray")
    assert problems(fastmri) == []
    assert "notes.txt: skipped, not an .h5 volume" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", "."], "is in no layout that any task reads; known: CelebA: list_eval_partition.txt"),
        (["--data", ".", "--task", "debulr"], "did you mean 'deblur'?"),
    ],
)
def test_bad_input_is_told(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["check", *options])
    assert message in answer.output


def test_a_set_for_another_task_is_recognised(fastmri):
    answer = CliRunner().invoke(main, ["check", "--data", str(fastmri), "--task", "ct"])
    assert "no layout that ct reads (it looks like fastMRI single-coil, for task mri4x, mri8x)" in answer.output


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["ct", "mri/fastmri_layout", "photos/produce", "photos/faces"])
def test_real_sets_have_no_problem(real_data, name):
    assert problems(real_data / name) == []
