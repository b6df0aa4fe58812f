"""One process or several, through Lightning's Fabric."""

import os
from datetime import timedelta
from pathlib import Path
from typing import cast

import click
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from bench.runner.team import world_size

WAIT = timedelta(hours=12)
"""The time that processes wait for the first one, which grades thousands of images alone."""


def make_fabric(device: torch.device, loggers: list[Logger] | None = None) -> Fabric:
    """Return the Fabric of this process, alone or with the other processes that torchrun started.

    Several processes share every batch, and gradients are the mean of theirs. Statistics are not shared: BatchNorm
    normalises each process's own images alone, and running statistics are the first process's, which the others copy at
    each forward pass. So several processes normalise differently from one in a network with BatchNorm (LU-DnCNN,
    DEQ4IP), and each draws its own noise: the number of processes is part of a cell's question.

    Mixed precision is not Fabric's: autocast is part of the objective, as memory and timing measure it.

    Args:
        device: where a single process trains; under torchrun every process takes one of its kind.
        loggers: receive losses and scores too.
    """
    processes = world_size()
    accelerator = "cuda" if device.type == "cuda" else "cpu"
    if processes == 1:
        devices: list[int] | int = [device.index or 0] if device.type == "cuda" else 1
        plugins = LightningEnvironment()  # named, since Lightning would warn about a Slurm that is installed
        fabric = Fabric(accelerator=accelerator, devices=devices, loggers=loggers, plugins=plugins)
    else:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
        nodes, strategy = processes // here, DDPStrategy(timeout=WAIT)
        fabric = Fabric(
            accelerator=accelerator,
            devices=here,
            num_nodes=nodes,
            strategy=strategy,
            loggers=loggers,
            plugins=TorchElasticEnvironment(),
        )
    fabric.launch()
    return fabric


def mean_over_processes(value: Tensor, fabric: Fabric) -> Tensor:
    """Return the mean of a value over the processes; all of them must call this.

    Args:
        value: without a graph; not changed.
        fabric: the processes.
    """
    return cast(Tensor, fabric.all_reduce(value.clone(), reduce_op="mean"))


def loggers(folder: Path | None) -> list[Logger]:
    """Return the loggers of losses and scores for TensorBoard; none without a folder.

    Raises:
        click.ClickException: if TensorBoard is not installed.
    """
    if folder is None:
        return []
    try:
        return [TensorBoardLogger(folder)]
    except ModuleNotFoundError as error:
        raise click.ClickException("--tensorboard: not installed; pip install '.[tensorboard]'") from error
