"""Trainings of seconds: tiny images, few stages."""

import torch

from bench.records.recipe import Recipe
from bench.tasks import TASKS
from bench.training.run import TrainingRun
from bench.training.trainer import fit
from models import MODELS

SHAPE = (12, 12)
TASK = TASKS["deblur"]
OPERATOR = TASK.operator_at(SHAPE, torch.device("cpu"))
FULL = {
    "optimizer": "adamw",
    "step_size_rate": 20.0,
    "weight_decay": 1e-4,
    "warmup": 0.2,
    "ema_decay": 0.9,
    "augmentation": ("flip",),
}
"""Of a recipe: every feature that a resumed run has to restore."""


def split(name, count=6):
    return TASK.load_split(None, name, image_shape=SHAPE, count=count, seed=0)


def recipe(**changes):
    return Recipe(**{"steps": 3, "batch": 2, "learning_rate": 1e-3} | changes)


def run_of(model, recipe, **options):
    return TrainingRun(
        **{"model": model, "task": TASK, "images": split("train"), "image_shape": SHAPE, "recipe": recipe} | options
    )


def luser(seed=0):
    torch.manual_seed(seed)
    return MODELS["luser-sw"](channels=3, num_stages=2)


def flat(model):
    return torch.cat([t.detach().flatten().float() for t in model.state_dict().values()])


def trained(recipe, model=None, **options):
    model = luser() if model is None else model
    return model, fit(run_of(model, recipe, **options))
