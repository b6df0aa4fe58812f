"""What the ratio gate times, run as a script with any checkout's packages on the path.

It reads the name of a workload per line and answers with the processor seconds of one run. It imports only what every
checkout has, so that it can time an older one.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F

from bench.tasks import TASKS
from bench.training.step import make_optimizer, placed, training_step
from models import MODELS, SOLVERS
from operators import OPERATORS

CALIBRATION = "plain torch"
SIDE = 12
"""Of the images that are trained on, in pixels."""

OPERATOR_SIDE, OPERATOR_BATCH = 64, 4
SOLVED = 4, 4096
"""Samples, and numbers in each."""

CPU = torch.device("cpu")
Work = Callable[[], object]


def workloads() -> dict[str, tuple[Callable[[], Work], int]]:
    """Return, by name, what builds a piece of work, and how often one run repeats it."""
    found: dict[str, tuple[Callable[[], Work], int]] = {CALIBRATION: (_plain, 1)}
    for name in MODELS:
        found[f"training step {name}"] = (partial(_step, name), 1)
    for name, repeats in (("gaussian-blur", 60), ("subsampled-fourier", 150), ("radon", 20)):
        found[f"operator {name}"] = (partial(_operator, name), repeats)
    for name, repeats in (("anderson", 10), ("broyden", 4), ("picard", 25)):
        found[f"solver {name}"] = (partial(_solver, name), repeats)
    return found


def seconds(work: Work, repeats: int) -> float:
    """Return the processor seconds of this process: what other processes do on the core is not counted."""
    started = time.process_time()
    for _ in range(repeats):
        work()
    return time.process_time() - started


def main() -> None:
    """Answer one line after another, each workload warmed up when it is first named."""
    torch.set_num_threads(1)
    known, built = workloads(), dict[str, Work]()
    for line in sys.stdin:
        name = line.strip()
        make, repeats = known[name]
        if name not in built:
            torch.manual_seed(0)
            built[name] = make()
            seconds(built[name], 2)
        sys.stdout.write(f"{seconds(built[name], repeats)!r}\n")
        sys.stdout.flush()


def _plain() -> Work:
    """Convolutions, a product, and many small operations, as in our steps; some 30 ms."""
    image, weight = torch.randn(2, 64, 16, 16), torch.randn(64, 64, 3, 3, requires_grad=True)
    matrix, vector = torch.randn(384, 384), torch.randn(4096)

    def work() -> None:
        for _ in range(12):
            F.conv2d(image, weight, padding=1).relu().sum().backward()
            (matrix @ matrix).sum()
            for _ in range(40):
                vector.mul(0.5).add(1.0).norm()
        weight.grad = None

    return work


def _step(name: str) -> Work:
    task = TASKS["deblur"]
    operator = task.operator_at((SIDE, SIDE), CPU)
    images = task.load_split(None, "train", image_shape=(SIDE, SIDE), count=1, seed=0)
    truth = images[0].image[None]
    y = task.measure(operator, truth, torch.Generator().manual_seed(0))
    model = placed(MODELS[name](channels=task.channels), CPU).train()
    # A rate of nearly zero: the weights, and with them the steps of the solvers, stay what they are.
    optimizer = make_optimizer(model, 1e-12)
    return lambda: training_step(model, optimizer, operator, y, truth, "final")


def _operator(name: str) -> Work:
    operator = OPERATORS[name](image_shape=(OPERATOR_SIDE, OPERATOR_SIDE))
    x = torch.randn(OPERATOR_BATCH, *operator.image_shape)

    def work() -> None:
        with torch.no_grad():
            operator.adjoint(operator(x))

    return work


def _solver(name: str) -> Work:
    solver = SOLVERS[name](max_steps=20, tolerance=0.0)
    batch, size = SOLVED
    bias = torch.randn(batch, size)

    def work() -> None:
        with torch.no_grad():
            solver(lambda z: 0.5 * torch.tanh(z) + bias, torch.zeros(batch, size))

    return work


if __name__ == "__main__":
    main()
