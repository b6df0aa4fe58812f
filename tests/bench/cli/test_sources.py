"""Options that name folders: which task each is for, and what is wrong with it before anything runs."""

import click
import pytest

from bench.cli.sources import by_task, check_examples, check_sources, data_sources
from bench.tasks import TASKS
from bench.tasks.scales import SCALES


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


def test_an_example_that_no_image_is_named_like_is_told_before_the_run():
    check_examples(["ct"], {}, SCALES["quick"], {"mri4x": "nothing"})  # not a task that runs
    with pytest.raises(click.ClickException, match="task ct: --example: "):
        check_examples(["ct"], {}, SCALES["quick"], {"ct": "nothing"})
