"""Checkpoints: one safetensors file, never a pickle, written whole or not at all."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.records.files import write_atomically
from bench.training.log import TrainingLog

_LOG = "log"


class CheckpointError(ValueError):
    """A checkpoint that is not one of this run; the message is one line that names it."""


def write_checkpoint(path: Path, tensors: dict[str, Tensor], log: TrainingLog) -> None:
    """Store a run's state: tensors by name, and the log, as JSON, in the file's metadata.

    Args:
        path: replaced if it is there.
        tensors: on any device; tensors that share memory are stored separately.
        log: of the run so far.
    """
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(apart, {_LOG: log.model_dump_json()}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], TrainingLog]:
    """Read back what ``write_checkpoint`` stored.

    Raises:
        CheckpointError: if the file is broken or not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            log = TrainingLog.model_validate_json((file.metadata() or {})[_LOG])
            return {name: file.get_tensor(name) for name in file.keys()}, log  # noqa: SIM118  # not a mapping
    except (OSError, KeyError, ValueError, SafetensorError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not a checkpoint: {reason}; delete it to begin anew") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state by name, ``<parameter's index>.<what>``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the state of an optimiser from ``optimizer_tensors``."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def joined(parts: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of several parts by name, ``<part>.<name>``; ``under`` takes a part out again."""
    return {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def load_module(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into a module in place.

    Raises:
        CheckpointError: if names or shapes are not the module's.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"not a checkpoint of this model: {' '.join(str(error).split())}") from error
