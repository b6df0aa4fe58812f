"""Options that name folders: which task each is for, and what is wrong with it before anything runs."""

import click
import numpy as np
import pytest

from bench.cli.sources import by_task, check_examples, check_sources, data_sources, open_split
from bench.tasks import TASKS
from bench.tasks.scales import SCALES

SPLITS = ("train", "validation", "test")


def test_a_value_is_for_every_task_or_for_the_one_it_names():
    assert by_task(["a", "ct=b"]) == dict.fromkeys(TASKS, "a") | {"ct": "b"}
    assert by_task(["ct=b", "ct=c=d"]) == {"ct": "c=d"}
    assert by_task(["./x=y"]) == dict.fromkeys(TASKS, "./x=y")  # a folder's own name
    with pytest.raises(click.ClickException, match="did you mean 'deblur'"):
        by_task(["debulr=a"])


def test_a_data_root_holds_a_folder_for_every_set(tmp_path):
    (tmp_path / "other").mkdir()
    found = data_sources([f"mri8x={tmp_path / 'other'}"], tmp_path)
    assert found["deblur"] == tmp_path / "celeba"
    assert found["ct"] == found["diffraction"] == tmp_path / "lodopab"
    assert found["mri4x"] == tmp_path / "fastmri"
    assert found["mri8x"] == tmp_path / "other"
    assert set(found) == set(TASKS)


def test_a_set_that_the_root_lacks_is_missed_where_its_task_is_wanted(tmp_path, write_photo):
    for name in ("train", "val", "test"):
        write_photo(tmp_path / "celeba" / name / "a.png")
    sources = data_sources([], tmp_path)
    check_sources(["deblur"], sources, SCALES["quick"])
    with pytest.raises(click.ClickException, match=r"task ct: .*lodopab"):
        check_sources(["deblur", "ct"], sources, SCALES["quick"])


@pytest.fixture
def photos(tmp_path, write_photo):
    for folder, number in (("train", 20), ("val", 9), ("test", 4)):
        for position in range(number):
            write_photo(tmp_path / folder / f"{position}.jpg", seed=position)
    return tmp_path


def damaged(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["train/0.jpg", "train/19.jpg", "val/8.jpg", "test/3.jpg"])
@pytest.mark.parametrize("scale", ["quick", "small"])
def test_every_file_that_a_run_uses_is_decoded_before_it(photos, name, scale):
    sources = {"deblur": photos}
    check_sources(["deblur"], sources, SCALES[scale], SPLITS)
    damaged(photos / name)
    with pytest.raises(click.ClickException, match=f"^task deblur: {photos / name}: cannot be read as an image"):
        check_sources(["deblur"], sources, SCALES[scale], SPLITS)


def test_files_that_a_run_does_not_use_are_left_alone(photos, write_photo):
    for position in range(4, 50):
        write_photo(photos / "test" / f"{position}.jpg")
    used = {photos / "test" / item.name for item in open_split("deblur", photos, "test", SCALES["quick"], count=8)}
    for path in set((photos / "test").iterdir()) - used:
        damaged(path)
    check_sources(["deblur"], {"deblur": photos}, SCALES["quick"])


def test_a_file_is_read_once_however_many_tasks_share_it(tmp_path, write_slices, monkeypatch):
    for split in SPLITS:
        write_slices(tmp_path / f"ground_truth_{split}_000.hdf5", number=3)
    read = []
    monkeypatch.setattr(
        "bench.data.formats.lodopab.read_slice", lambda at: read.append(at.path) or np.eye(362, dtype="f4")
    )
    check_sources(["ct", "diffraction"], {"ct": tmp_path, "diffraction": tmp_path}, SCALES["small"], SPLITS)
    assert sorted(path.name for path in read) == [f"ground_truth_{split}_000.hdf5" for split in sorted(SPLITS)]


@pytest.mark.parametrize("split", SPLITS)
def test_a_stack_in_other_units_is_refused_before_a_run(tmp_path, split, write_slices):
    for name in SPLITS:
        write_slices(tmp_path / f"ground_truth_{name}_000.hdf5", first=500 if name == split else 0.1)
    with pytest.raises(click.ClickException, match=rf"ground_truth_{split}_000.hdf5: slice 0 has values from"):
        check_sources(["ct"], {"ct": tmp_path}, SCALES["quick"], SPLITS)


@pytest.mark.parametrize("folder", ["", " ", "x" * 5000, "a\tb", "\udcff", "/dev/null", "/proc/1/root/x"])
def test_what_is_no_folder_is_told_in_one_line(folder):
    with pytest.raises(click.ClickException) as caught:
        data_sources([folder])
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


def test_an_example_that_no_image_is_named_like_is_told_before_the_run():
    check_examples(["ct"], {}, SCALES["quick"], {"mri4x": "nothing"})  # not a task that runs
    with pytest.raises(click.ClickException, match="task ct: --example: "):
        check_examples(["ct"], {}, SCALES["quick"], {"ct": "nothing"})
