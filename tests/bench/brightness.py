"""The smallest model: one gain, whose best value is known."""

import math

import torch

from models import Reconstruction, ReconstructionModel


class Brightness(ReconstructionModel):
    """x = gain * y; not finite at the steps it is told."""

    def __init__(self, channels=3, bad_steps=()):
        super().__init__(channels)
        self.gain = torch.nn.Parameter(torch.tensor(0.5))
        self.bad_steps, self.step = bad_steps, 0

    def forward(self, y, operator):
        factor = math.nan if self.training and self.step in self.bad_steps else 1.0
        self.step += self.training
        image = y * self.gain * factor + 0 * self.step_size
        return Reconstruction(image, (y, image))
