"""Real training steps, of our models and of users, run on a GPU to measure their memory."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from bench.cli.user_model import build_model
from bench.memory.user_step import built, resolve_step, run_step
from bench.records import FitSpec, MemorySpec, StepSpec
from bench.tasks import TASKS
from bench.training.step import make_optimizer, training_step
from models import EquilibriumModel

PROBE_STEPS = 3
SHORT_SOLVES = 7
"""Solver steps after which a solve takes no more memory: the history, five iterates, is allocated whole at the start
and begun anew after the fifth. DEQ4IP's solves, 50 steps both ways at first, then take a seventh of the time."""


def release(device: torch.device) -> None:
    """Give everything that is not in use back to the device, cuBLAS's workspaces too; a CPU keeps nothing."""
    if device.type != "cuda":
        return
    torch.cuda.synchronize(device)
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()


def train(
    spec: FitSpec,
    batch: int,
    device: torch.device,
    steps: int = PROBE_STEPS,
    *,
    reset_peaks: bool = True,
    solver_steps: int | None = None,
) -> None:
    """Train from scratch; peaks afterwards are those of the steps, model, images and optimiser included.

    Args:
        spec: what trains.
        batch: images per step.
        device: a CUDA device; on a CPU there are no peaks.
        steps: how many.
        reset_peaks: False leaves peaks what they are since the process began, finding the norm included.
        solver_steps: the most that a fixed-point solve takes, None for the model's own; see ``SHORT_SOLVES``.
    """
    make = _user_step if isinstance(spec, StepSpec) else partial(_our_step, solver_steps=solver_steps)
    step = make(spec, batch, device, reset_peaks)  # type: ignore[arg-type]  # each makes its own kind
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _user_step(spec: StepSpec, batch: int, device: torch.device, reset_peaks: bool) -> Callable[[], object]:
    if reset_peaks and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    torch.set_default_device(device)  # the process is the step's own
    step = built(resolve_step(spec.step), spec.step, batch)
    return partial(run_step, step, device.type, spec.precision)


def _our_step(
    spec: MemorySpec, batch: int, device: torch.device, reset_peaks: bool, solver_steps: int | None
) -> Callable[[], object]:
    task = TASKS[spec.task]
    operator = task.operator_at(spec.image_shape, device)
    operator.norm()
    model = build_model(spec.model, task.channels, spec.policy).to(device).train()
    if spec.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub
    if solver_steps is not None and isinstance(model, EquilibriumModel):
        model.solver = replace(model.solver, max_steps=min(model.solver.max_steps, solver_steps))
    truth = torch.rand(batch, *operator.image_shape, device=device)
    with torch.no_grad():
        y = operator(truth)
    release(device)  # what finding the norm took is no part of a training step
    if reset_peaks:
        torch.cuda.reset_peak_memory_stats(device)
    optimizer = make_optimizer(model)
    return lambda: training_step(model, optimizer, operator, y, truth, "final", spec.precision)
