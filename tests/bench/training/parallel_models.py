"""One process of parallel trainings of every model, started by torchrun, in which a warning is an error."""

import warnings

import torch

from bench.training.step import placed
from models import MODELS
from tests.bench.small_runs import recipe, trained

if __name__ == "__main__":
    from bench.training.processes import make_fabric

    fabric = make_fabric(torch.device("cpu"))
    for name in MODELS:
        torch.manual_seed(0)
        model = placed(MODELS[name](channels=3), torch.device("cpu"))
        changes = {} if name == "lu-dncnn" else {"jacobian_weight": 1.0}  # whose gradient has another layout
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trained(recipe(steps=2, **changes), model, fabric=fabric)
