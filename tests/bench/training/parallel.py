"""One process of a parallel training, started by torchrun: ``parallel.py FOLDER``."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.bench.small_runs import TASK, flat, luser, recipe, trained

# Without noise the images of a step do not depend on how many processes share them.
SILENT = replace(TASK, measure=lambda operator, images, generator: operator(images))
RECIPE = recipe(steps=4, ema_decay=0.9)

if __name__ == "__main__":
    from bench.training.processes import make_fabric

    fabric = make_fabric(torch.device("cpu"))
    checkpoint = Path(sys.argv[1]) / "run.safetensors"
    # Another start on every process: the first one's counts.
    model, log = trained(RECIPE, luser(seed=fabric.global_rank), task=SILENT, checkpoint=checkpoint, fabric=fabric)
    torch.save((flat(model), log.losses), Path(sys.argv[1]) / f"{fabric.global_rank}.pt")
