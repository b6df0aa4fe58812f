"""Quality on validation images during training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.data.base import ImageSplit
from bench.evaluation.grading import Shown, simulated
from bench.records import Precision
from bench.tasks.base import Task
from bench.training.step import autocast
from models import ReconstructionModel
from operators import ForwardOperator

NOISE_SEED = 1_000_003
"""Validation measurements have the same noise at every step, different from that of test measurements."""


@dataclass(frozen=True)
class Validation:
    """The data on which weights are chosen.

    Attributes:
        images: the validation split.
        operator: A at their size.
    """

    images: ImageSplit[Any]
    operator: ForwardOperator


@torch.no_grad()
def validate(
    model: ReconstructionModel, task: Task, validation: Validation, precision: Precision = "fp32"
) -> tuple[float, float]:
    """Return the mean PSNR in dB and the mean SSIM over a split; the model's mode is restored.

    Args:
        model: on the operator's device.
        task: measures and grades.
        validation: images and operator.
        precision: of the networks: the training's, which is 0.001 to 0.01 dB off.
    """
    training, operator = model.training, validation.operator
    model.eval()
    device = next(model.parameters()).device
    scores = []
    for labelled, truth, y in simulated(task, operator, validation.images, NOISE_SEED, device):
        with autocast(device, precision):
            image = model(y, operator).image
        score = Shown(task, model.starting_image(y, operator), image, truth).score(labelled)
        scores.append((score.psnr_db, score.ssim))
    model.train(training)
    psnr_db, ssim = np.mean(scores, axis=0).tolist()
    return psnr_db, ssim
