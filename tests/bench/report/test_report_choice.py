"""Which of several records of a cell is shown, and which accuracy records share a table."""

import json

import numpy as np
import pytest

from bench.records import Status
from bench.records.paper import load_paper
from bench.report.selection.accuracy import Group, estimate, studies
from bench.report.selection.records import load_records
from bench.report.tables.table3 import MemoryStudy


def load(samples):
    return load_records(samples.store)


def batches(samples):
    return [entry.values.max_batch if entry.values else None for entry in load(samples).memory]


def test_clean_beats_a_newer_dirty_record(samples):
    samples.memory("ct", "luser-dw", 8, 2, threads=1, hours=0)
    samples.memory("ct", "luser-dw", 8, 4, threads=2, hours=5, dirty=True)
    assert batches(samples) == [2]


def test_newest_of_the_clean_records_wins(samples):
    samples.memory("ct", "luser-dw", 8, 2, threads=1, hours=9)
    samples.memory("ct", "luser-dw", 8, 4, threads=2, hours=5)
    assert batches(samples) == [2]


def test_a_crash_loses_even_to_a_dirty_answer(samples):
    samples.memory("ct", "luser-dw", 8, 2, threads=1, dirty=True)
    samples.memory("ct", "luser-dw", 8, 4, threads=2, hours=5, status=Status.FAILED)
    assert batches(samples) == [2]


def test_gpus_are_kept_apart_and_simulations_are_not(samples):
    for threads, device in enumerate(("NVIDIA A", "NVIDIA B")):
        samples.memory("ct", "luser-dw", 8, 2, backend="cuda", device=device, threads=threads)
        samples.memory("ct", "luser-dw", 8, 2, device=device, threads=threads)
    assert sorted(entry.spec.backend for entry in load(samples).memory) == ["cuda", "cuda", "simulate"]


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_records_of_another_protocol_are_counted_and_left_out(samples):
    samples.memory("ct", "luser-dw", 8, 2)
    path = samples.memory("ct", "luser-dw", 10, 4)
    rewrite(path, lambda content: content["spec"].update(protocol=content["spec"]["protocol"] + 1))
    assert batches(samples) == [2]
    assert load(samples).outdated == 1


def test_values_of_another_kind_are_a_broken_record(samples, capsys):
    path = samples.timing("ct", "luser-dw")
    values = json.loads(samples.calls("ct", "luser-dw").read_text())["values"]
    rewrite(path, lambda content: content.update(values=values))
    assert load(samples).timing == ()
    line = capsys.readouterr().err
    assert line.startswith(f"skipped: {path}: not a valid record: file: ")
    assert "a timing question with calls values" in line


def test_groups_rank_by_scale_then_real_before_generated(samples):
    for scale, data in (("quick", "photos"), ("mine", "photos"), ("small", "generated"), ("small", "photos")):
        samples.accuracy("ct", "luser-dw", scale=scale, data=data)
    names = [study.group.name for study in studies(load(samples).accuracy)]
    assert names == ["small-real", "small-generated", "quick-real", "mine-real"]
    assert Group("my scale/2", True).name == "my-scale-2-real"


def test_data_of_different_names_share_the_real_group(samples):
    samples.accuracy("ct", "luser-dw", data="slices")
    samples.accuracy("deblur", "luser-dw", data="photos")
    (study,) = studies(load(samples).accuracy)
    assert {key[0] for key in study.cells} == {"ct", "deblur"}


def test_one_task_never_mixes_two_sources(samples):
    for model in ("lu-dncnn", "luser-dw"):
        samples.accuracy("ct", model, data="many", psnr=30.0)
    samples.accuracy("ct", "luser-sw", data="few", psnr=10.0, hours=9)
    (study,) = studies(load(samples).accuracy)
    assert {key[1] for key in study.cells} == {"lu-dncnn", "luser-dw"}
    assert study.left_out == 1


def test_seeds_are_averaged(samples):
    samples.accuracy("ct", "luser-dw", psnr=30.0, seed=0)
    samples.accuracy("ct", "luser-dw", psnr=31.0, seed=1)
    (study,) = studies(load(samples).accuracy)
    value = study.estimate(("ct", "luser-dw", "final"), "psnr_db")
    assert value.mean == pytest.approx(30.5)
    assert (value.images, value.groups) == (6, 3)


def test_other_training_settings_are_not_averaged_in(samples):
    samples.accuracy("ct", "luser-dw", psnr=30.0, steps=40)
    samples.accuracy("ct", "luser-dw", psnr=31.0, steps=80, hours=1)
    (study,) = studies(load(samples).accuracy)
    assert study.estimate(("ct", "luser-dw", "final"), "psnr_db").mean == pytest.approx(31.0)


def test_interval_resamples_groups_not_images(samples):
    items = samples.items(30.0, 0.8, 40)
    alike = [item.model_copy(update={"group": "one" if n < 20 else "two"}) for n, item in enumerate(items)]
    by_image = [item.model_copy(update={"group": item.name}) for item in items]
    wide, narrow = estimate(alike, "psnr_db"), estimate(by_image, "psnr_db")
    assert wide.mean == pytest.approx(30.0)
    # Two groups: a resample is one of them alone in half of all cases, so the interval spans their means.
    assert (wide.low, wide.high) == pytest.approx((27.0, 33.0))
    assert 28.0 < narrow.low < 30.0 < narrow.high < 32.0
    assert estimate(by_image, "psnr_db") == narrow


def test_one_group_gives_no_interval(samples):
    alone = [item.model_copy(update={"group": "only"}) for item in samples.items(30.0, 0.8, 4)]
    assert estimate(alone, "psnr_db").low is None
    assert estimate([], "psnr_db") is None


def test_infinite_psnr_gives_no_interval(samples):
    items = [item.model_copy(update={"psnr_db": float("inf")}) for item in samples.items(30.0, 0.8, 4)]
    value = estimate(items, "psnr_db")
    assert np.isinf(value.mean)
    assert value.low is None


def test_blocks_put_the_papers_image_size_first(samples):
    for shape in ((32, 32), (362, 362), (64, 64)):
        samples.memory("ct", "luser-dw", 8, 2, shape=shape)
    blocks = MemoryStudy(load(samples).memory, load_paper()).blocks()
    assert blocks == [
        ("deblur", None),
        ("ct", (362, 362)),
        ("ct", (32, 32)),
        ("ct", (64, 64)),
        ("mri4x", None),
    ]
