"""A model of your own in a few lines: unrolled gradient steps, each followed by a small network, trained on CT.

It is a model like any of the study's. Every command measures it, for instance the memory of its training:

    python -m bench.memory --cap 8GB --task ct --model examples.own_model:SmallUnrolled
"""

import argparse

import torch
from torch import Tensor, nn

from bench.tasks import TASKS
from models import Policy, Reconstruction, ReconstructionModel, gradient_step
from operators import ForwardOperator


class SmallUnrolled(ReconstructionModel):
    """Four times: a step towards the measurements, then a correction by a network of three convolutions."""

    def __init__(self, channels: int, *, policy: Policy = "recompute") -> None:
        super().__init__(channels, policy)
        layers = (nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.network = nn.Sequential(*layers, nn.Conv2d(16, channels, 3, padding=1))

    def forward(self, y: Tensor, operator: ForwardOperator) -> Reconstruction:
        """Reconstruct images (B, C, H, W) from measurements y of an operator."""
        x, stages = self.starting_image(y, operator), []
        for _ in range(4):
            d = gradient_step(x, y, operator, self.step_size)
            x = d + self.network(d)
            stages.append(x)
        return Reconstruction(x, tuple(stages))


def main(size: int, steps: int) -> None:
    """Train on generated chests of size x size pixels, and grade on chests that were not trained on."""
    torch.manual_seed(0)
    task, noise = TASKS["ct"], torch.Generator().manual_seed(0)
    operator = task.operator_at((size, size), torch.device("cpu"))
    train, test = (
        torch.stack([item.image for item in task.load_split(None, split, image_shape=(size, size), count=8, seed=0)])
        for split in ("train", "test")
    )
    model = SmallUnrolled(task.channels)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    y = task.measure(operator, test, noise)
    print(f"PSNR at first:  {task.metrics['psnr_db'](model.starting_image(y, operator), test):.2f} dB")
    for step in range(steps):
        batch = train[[2 * step % 8, (2 * step + 1) % 8]]
        loss = nn.functional.mse_loss(model(task.measure(operator, batch, noise), operator).image, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        image = model(y, operator).image
    print(f"PSNR, trained:  {task.metrics['psnr_db'](image, test):.2f} dB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=150, help="training steps")
    main(**vars(parser.parse_args()))
