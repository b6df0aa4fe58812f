"""Grading is fair: the same images and noise for every model."""

import torch

from bench.evaluation.grading import evaluate
from bench.tasks import TASKS
from models import MODELS
from tests.bench.brightness import Brightness

SHAPE = (12, 12)


def test_grading_is_the_same_for_every_model_and_order():
    task = TASKS["deblur"]
    operator = task.operator_at(SHAPE, torch.device("cpu"))
    images = task.load_split(None, "test", image_shape=SHAPE, count=6, seed=0)
    first = evaluate(Brightness(), operator, task, images)
    second = evaluate(MODELS["luser-sw"](channels=3, num_stages=1), operator, task, images)
    assert [i.start_psnr_db for i in first.items] == [i.start_psnr_db for i in second.items]
    assert [i.name for i in first.items] == [images[index].name for index in range(len(images))]
    assert len(second.solver_steps) == len(second.warm_solver_steps) == len(second.residuals) == 1
    assert first.solver_steps == first.warm_solver_steps == ()
    assert set(first.example) == {"start", "reconstruction", "truth"}
    assert all(image.shape == (3, *SHAPE) for image in first.example.values())
