"""Another data set under the same name is another question; the same one elsewhere is the same."""

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bench.baselines.cells import reference_cells
from bench.baselines.methods import REFERENCES
from bench.cli.sources import files_of
from bench.data import fingerprint as module
from bench.data.fingerprint import fingerprint
from bench.records.store import ResultStore
from bench.runner.run import run_cells
from bench.tasks import TASKS
from bench.tasks.scales import Scale


def taken(source, task="deblur", split="test", count=100):
    images = TASKS[task].load_split(source, split, image_shape=(16, 16), count=count, seed=0)
    return fingerprint(images, source)


@pytest.fixture
def photos(tmp_path, write_photo):
    folder = tmp_path / "A" / "set" / "ph"
    for split in ("train", "val", "test"):
        for number in range(4):
            write_photo(folder / split / f"{number}.png", seed=number)
    return folder


def test_where_a_set_lies_and_what_else_is_there_does_not_count(photos, tmp_path, write_photo):
    moved = shutil.copytree(photos, tmp_path / "B" / "set" / "ph")
    (moved / "test" / "notes.txt").write_text("of no split")
    write_photo(moved / "train" / "more.png")
    assert taken(moved) == taken(photos) is not None
    assert taken(moved, split="train") != taken(photos, split="train")


@pytest.mark.parametrize("change", ["content", "name", "number"])
def test_its_files_do(photos, write_photo, change):
    before = taken(photos)
    if change == "content":
        path = photos / "test" / "2.png"
        content = bytearray(path.read_bytes())
        content[-20] ^= 1  # of the same size
        path.write_bytes(content)
    elif change == "name":
        (photos / "test" / "2.png").rename(photos / "test" / "20.png")
    else:
        write_photo(photos / "test" / "4.png")
    assert taken(photos) != before


def test_of_large_files_both_ends_count(tmp_path, write_slices):
    path = tmp_path / "ground_truth_test_000.hdf5"
    write_slices(path, number=9)
    content = path.read_bytes()
    assert len(content) < 2 * module.END_BYTES  # compressed: everything counts
    found = []
    for place in (0, 100_000, 299_999):
        padding = bytearray(300_000)
        padding[place] = 1
        path.write_bytes(content + padding)
        found.append(taken(tmp_path, "ct"))
    assert len(content) + 1 < module.END_BYTES
    assert len(set(found)) == 3


def test_of_many_files_some_are_opened_and_all_are_measured(photos, monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_FILES", 2)
    before = taken(photos)
    changed = []
    for number in range(4):
        path = photos / "test" / f"{number}.png"
        content = path.read_bytes()
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
        changed.append(taken(photos) != before)
        path.write_bytes(content)
    assert sum(changed) == 2
    path.write_bytes(content + b"x")
    assert taken(photos) != before


def test_celebas_archive_and_folder_hold_the_same(tmp_path, write_photo):
    for kind in ("folder", "archive"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "list_eval_partition.txt").write_text("0.jpg 2\n1.jpg 2\n2.jpg 0\n")
    for number in range(3):
        write_photo(tmp_path / "folder" / "img_align_celeba" / f"{number}.jpg", height=218, width=178, seed=number)
    with zipfile.ZipFile(tmp_path / "archive" / "img_align_celeba.zip", "w") as archive:
        for path in (tmp_path / "folder" / "img_align_celeba").iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
    assert taken(tmp_path / "folder") == taken(tmp_path / "archive") is not None


@pytest.mark.parametrize("task", ["ct", "mri4x"])
def test_medical_files_count(tmp_path, task, write_slices, write_volume):
    write_slices(tmp_path / "ground_truth_test_000.hdf5", number=2)
    write_volume(tmp_path / "singlecoil_test" / "a.h5", 2, 320, 320)
    before = taken(tmp_path, task)
    write_slices(tmp_path / "ground_truth_test_000.hdf5", number=2, first=0.2)
    write_volume(tmp_path / "singlecoil_test" / "a.h5", 2, 320, 320, seed=1)
    assert taken(tmp_path, task) != before is not None


def test_generated_images_are_in_no_file():
    assert fingerprint(TASKS["ct"].load_split(None, "test", image_shape=(16, 16), count=2, seed=0), None) is None
    assert files_of("ct", None, {"test": 2}) is None


def test_another_set_of_the_same_name_is_measured(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(REFERENCES, "tv", replace(REFERENCES["tv"], grid=REFERENCES["tv"].grid[:1]))
    other = shutil.copytree(photos, tmp_path / "B" / "set" / "ph")
    Image.fromarray(np.random.default_rng(9).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(other / "test/0.png")
    scale = Scale(name="tiny", image_shapes={"deblur": (16, 16)}, train_images=2, test_images=4)
    store, messages = ResultStore(tmp_path / "results"), []
    for source in (photos, photos, other):
        cells = reference_cells(["deblur"], scale, {"deblur": source}, device=torch.device("cpu"))
        (record,) = run_cells(cells, store)
        assert record.spec.data == "set/ph"
        messages.append(record.provenance.created)
    assert messages[0] == messages[1] != messages[2]
    assert len(list(store.records())) == 2
