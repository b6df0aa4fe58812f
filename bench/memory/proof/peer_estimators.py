"""Other libraries' estimates of a training step's memory without a GPU (``memory-peers``).

Both are asked as their documentation says, for a training step with Adam in float32. torch-kitsune runs the forward
pass to learn its shapes and adds 15 % to its sum; vram-check knows the parameters alone and assumes activations of
twice their bytes per sample. Neither simulates an allocator.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from bench.memory.proof.published_runs import PublishedTraining

Estimator = Callable[[nn.Module, tuple[int, ...], int], int]
"""(network, shape of a sample, batch) -> bytes."""


def _kitsune(network: nn.Module, sample_shape: tuple[int, ...], batch: int) -> int:
    from kitsune.predict import predict_memory

    found = predict_memory(
        network, input_shape=sample_shape, batch_size=batch, dtype="float32", optimizer="adam", training=True
    )
    return int(found.total_bytes)


def _vram_check(network: nn.Module, sample_shape: tuple[int, ...], batch: int) -> int:
    from vram_check import analyze

    found = analyze(network, batch_size=batch, dtype="fp32", optimizer="adam", training=True)
    return int(found["estimate"].total_bytes)


ESTIMATORS: dict[str, Estimator] = {"torch-kitsune": _kitsune, "vram-check": _vram_check}
"""Estimators by the name of their distribution."""


def predicted_bytes(trainings: Sequence[PublishedTraining], estimators: Sequence[str]) -> list[tuple[int, ...]]:
    """Ask other libraries for the peak memory of training runs.

    Args:
        trainings: the runs.
        estimators: keys of ``ESTIMATORS`` that are installed.

    Returns:
        Bytes by every estimator, one tuple per run.
    """
    return [_of_run(training, estimators) for training in trainings]


def _of_run(training: PublishedTraining, estimators: Sequence[str]) -> tuple[int, ...]:
    # Estimates depend on shapes alone: on the meta device torch-kitsune's forward pass computes nothing.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the other libraries
        network = training.network()
        return tuple(ESTIMATORS[name](network, training.sample_shape, training.batch) for name in estimators)
