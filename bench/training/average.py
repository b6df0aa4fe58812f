"""The moving average of a model's weights, which reconstructs better than the last ones."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a model's weights; buffers are copied.

    The decay is lower at first, for the sake of short runs. ``update_parameters(model)`` adds the present weights;
    ``module`` is a model with the averaged ones.

    Args:
        model: whose weights to average.
        decay: share of the average that late steps keep.

    Source: Polyak and Juditsky 1992; the warm-up min(decay, (1 + t) / (10 + t)) is TensorFlow's.
    """

    def blend(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return AveragedModel(model, multi_avg_fn=blend)  # type: ignore[arg-type]  # its lists may also be tuples
