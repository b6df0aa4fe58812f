"""How good a model is on validation images, in the course of its training."""

from typing import Any

import torch

from bench.data import ImageSplit
from bench.tasks.base import Task
from models import ReconstructionModel
from operators import ForwardOperator

NOISE_SEED = 1_000_003
"""Validation measurements have the same noise at every step, and another than test measurements."""


@torch.no_grad()
def validate(
    model: ReconstructionModel, operator: ForwardOperator, task: Task, images: ImageSplit[Any]
) -> tuple[float, float]:
    """Return the mean PSNR in dB and the mean SSIM over a split; the model's mode is restored.

    Args:
        model: on the operator's device.
        operator: A at the images' size.
        task: measures and grades.
        images: the validation split.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    noise = torch.Generator().manual_seed(NOISE_SEED)
    scores = []
    for index in range(len(images)):
        truth = images[index].image[None].to(device)
        image = model(task.measure(operator, truth, noise), operator).image
        shown, reference = (task.display(batch[0].float().cpu()) for batch in (image, truth))
        scores.append([task.metrics[name](shown, reference) for name in ("psnr_db", "ssim")])
    model.train(training)
    psnr_db, ssim = torch.tensor(scores, dtype=torch.float64).mean(dim=0).tolist()
    return psnr_db, ssim
