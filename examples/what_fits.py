"""What fits on my card? The largest batch of any training step, without a GPU.

`make_step(batch)` builds model, optimiser and data, and returns a function that runs one step. Nothing is computed:
the step runs on tensors without values, and its memory is replayed through the rules of the GPU's allocator. The same
question as a command, which also gives an upper and a lower bound and stores the answer:

    python -m bench.memory --step examples.what_fits:make_step --cap 8GB --any-batch
"""

import argparse
from collections.abc import Callable

import torch
from torch import nn

from bench.memory.calibration import DOCUMENTED
from bench.memory.replay import fits, judge
from bench.memory.search import ANY, largest_fitting
from bench.memory.trace import trace_step
from bench.records import GIB


def make_step(batch: int) -> Callable[[], None]:
    """Build one training step of a small network on images of 256 x 256 pixels."""
    layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
    for _ in range(6):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Conv2d(64, 3, 3, padding=1))
    optimizer = torch.optim.Adam(model.parameters(), foreach=True)
    images = torch.rand(batch, 3, 256, 256)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(images), images).backward()
        optimizer.step()

    return step


def main(cards: list[float]) -> None:
    """Print the largest batch for cards of some GB."""
    trace, rules = trace_step(make_step), DOCUMENTED.expected
    for card in cards:
        cap = int(card * GIB)
        batch = largest_fitting(lambda batch, cap=cap: fits(trace, batch, cap, rules), guess=8, candidates=ANY)
        if batch == 0:
            print(f"{card:g} GB: not even batch 1")
        else:
            peak = judge(trace, batch, cap, rules).peak_bytes / GIB
            print(f"{card:g} GB: batch {batch} trains, simulated, with a peak of {peak:.2f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cards", type=float, nargs="*", default=[8, 10, 24], help="memory of cards in GB")
    main(**vars(parser.parse_args()))
