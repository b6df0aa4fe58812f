"""Grading is fair and complete: the same images and noise for every model, every convention stored."""

import numpy as np
import pytest
import torch

from bench.data.base import ImageSplit, LabelledImage
from bench.evaluation.grading import evaluate, find_example
from bench.tasks import TASKS
from bench.tasks.metrics import psnr_db
from models import MODELS

SHAPE = (12, 12)
NAMES = ("faces/a.png", "produce/Apple.png", "produce/pear.png")


class Named(ImageSplit[str]):
    """Random images by name."""

    def _read(self, reference):
        pixels = torch.rand((3, *self.image_shape), generator=torch.Generator().manual_seed(len(reference)))
        return LabelledImage(image=pixels, name=reference, group=reference)


def graded(name="deblur", model="luser-sw", images=None, example=None):
    task = TASKS[name]
    operator = task.operator_at(SHAPE, torch.device("cpu"))
    images = images or task.load_split(None, "test", image_shape=SHAPE, count=3, seed=0)
    torch.manual_seed(0)
    options = {} if model == "deq4ip" else {"num_stages": 1}
    return evaluate(MODELS[model](channels=task.channels, **options), operator, task, images, example)


def test_every_model_gets_the_same_measurements():
    first, second = graded(model="luser-sw"), graded(model="lu-dncnn")
    assert [item.start_psnr_db for item in first.items] == [item.start_psnr_db for item in second.items]
    assert np.array_equal(first.example["start"], second.example["start"])


@pytest.mark.parametrize(("name", "more"), [("ct", {"psnr_span_db", "ssim_span"}), ("mri4x", {"psnr_slice_db"})])
def test_other_conventions_are_stored_an_image(name, more):
    grades = graded(name)
    assert all(more <= set(item.more) and not {"psnr_db", "ssim"} & set(item.more) for item in grades.items)
    if name == "ct":
        images = (torch.from_numpy(grades.example[key]) for key in ("reconstruction", "truth"))
        assert grades.items[0].more["psnr_span_db"] == pytest.approx(psnr_db(*images, data_range="truth-span"))


@pytest.mark.parametrize(("pattern", "place"), [(None, 0), ("produce/*", 1), ("*/p*", 2)])
def test_the_image_to_show_is_the_first_whose_name_fits(pattern, place):
    images = Named(NAMES, SHAPE)
    assert find_example(images, pattern) == place
    shown = graded(images=images, example=pattern).example["truth"]
    assert np.array_equal(shown, images[place].image.numpy())


def test_without_an_image_to_show_nothing_is_graded():
    with pytest.raises(ValueError, match=r"no name fits 'apples/\*', the first is 'faces/a.png'"):
        graded(images=Named(NAMES, SHAPE), example="apples/*")
