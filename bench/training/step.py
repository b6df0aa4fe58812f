"""One training step, shared by training, memory and timing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.records import Loss, Precision
from bench.records.recipe import Recipe
from models import EquilibriumModel, Reconstruction, ReconstructionModel, Solve
from operators import ForwardOperator

CLIP_NORM = 1.0


def reconstruction_loss(reconstruction: Reconstruction, truth: Tensor, loss: Loss) -> Tensor:
    """Mean squared error of the final image, or its mean over every stage's output.

    Args:
        reconstruction: a model's output.
        truth: images, (B, C, H, W).
        loss: ``final`` or ``aux`` (the auxiliary loss).

    Source: LUSER, Sec. 4.
    """
    images = reconstruction.stages if loss == "aux" else (reconstruction.image,)
    return torch.stack([F.mse_loss(image, truth) for image in images]).mean()


def placed(model: ReconstructionModel, device: torch.device) -> ReconstructionModel:
    """Return a model on its device, in the memory format in which that device's convolutions are fastest.

    On CPUs channels last: a sixth faster in float32, two to four times in bfloat16.
    """
    model = model.to(device)
    if device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub
    return model


def make_optimizer(model: nn.Module, learning_rate: float = 1e-3) -> torch.optim.Adam:
    """Return Adam as memory and time are measured; foreach is explicit, since fake tensors would not choose it."""
    return torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=True)


def optimizer_of(recipe: Recipe, model: ReconstructionModel) -> torch.optim.Optimizer:
    """Return a recipe's optimiser; AdamW is Adam where nothing decays.

    Adam moves every parameter by about its rate a step, which is little for the one step size, around 1, and much for
    a filter's weight, around 0.03: the step size has a group of its own.
    """
    others = [parameter for parameter in model.parameters() if parameter is not model.step_size]
    groups = [{"params": others}, {"params": [model.step_size]}]
    decay = recipe.weight_decay if recipe.optimizer == "adamw" else 0.0
    return torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=decay, foreach=True)


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    """Give both groups of ``optimizer_of`` their learning rates at a share of the run."""
    weights, step_size = optimizer.param_groups
    weights["lr"] = recipe.rate_at(done)
    step_size["lr"] = recipe.rate_at(done) * recipe.step_size_rate


def buffers_of(model: nn.Module) -> list[Tensor]:
    """Return copies of a model's buffers: BatchNorm's statistics and spectral vectors, which a forward pass moves."""
    return [buffer.clone() for buffer in model.buffers()]


def restore_buffers(model: nn.Module, buffers: Sequence[Tensor]) -> None:
    """Restore the buffers that ``buffers_of`` copied: a skipped step must not change them."""
    for buffer, kept in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(kept)


def use_solvers_of(recipe: Recipe, model: ReconstructionModel) -> Callable[[], None]:
    """Let a model with fixed points solve them as the recipe trains it.

    Returns:
        A function that restores the model's own solvers, with which it is graded.
    """
    if not isinstance(model, EquilibriumModel):
        return lambda: None
    own, own_backward = model.solver, model.backward_solver
    forward, tighter = recipe.tolerance or own.tolerance, recipe.backward_tolerance
    model.solver = replace(own, tolerance=forward, max_steps=recipe.solver_steps or own.max_steps)
    model.backward_solver = None if tighter is None else replace(model.solver, tolerance=tighter)

    def give_back() -> None:
        model.solver, model.backward_solver = own, own_backward

    return give_back


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return a context in which networks run in ``precision``; operators and solvers stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


Penalty = Callable[[Reconstruction], Tensor]
"""A term added to the loss of a reconstruction: a scalar with a graph."""


class Objective(nn.Module):
    """A model with its loss, as one module: what several processes train together.

    Args:
        model: what is trained.
        loss: ``final`` or ``aux``.
        precision: ``bf16`` runs the networks under autocast; weights, operators and solvers stay in float32.

    Attributes:
        value: the last reconstruction loss, without a graph.
        solves: its fixed points; the backward pass completes them.
    """

    value: Tensor
    solves: tuple[Solve, ...]

    def __init__(self, model: ReconstructionModel, loss: Loss, precision: Precision = "fp32") -> None:
        super().__init__()
        self.model = model
        self.loss: Loss = loss
        self.precision = precision

    def forward(self, y: Tensor, operator: ForwardOperator, truth: Tensor, penalty: Penalty | None = None) -> Tensor:
        """Return the loss of a batch, with a penalty where there is one; the images are not kept.

        Args:
            y: measurements, (B, *operator.data_shape).
            operator: A.
            truth: images, (B, C, H, W).
            penalty: added to the loss.
        """
        with autocast(truth.device, self.precision):
            result = self.model(y, operator)
            loss = reconstruction_loss(result, truth, self.loss)
            self.value, self.solves = loss.detach(), result.solves
            return loss if penalty is None else loss + penalty(result)


@dataclass(frozen=True)
class StepReport:
    """The results of one step, without a graph.

    Attributes:
        loss: the reconstruction loss, a scalar.
        norm: the gradient's norm before clipping, a scalar.
        solves: the fixed points, both ways.
    """

    loss: Tensor
    norm: Tensor
    solves: tuple[Solve, ...]

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are finite; reads values on the host."""
        return bool(torch.isfinite(self.loss + self.norm))


def compute_gradients(
    model: ReconstructionModel,
    operator: ForwardOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
    precision: Precision = "fp32",
) -> StepReport:
    """Run forward, loss and backward, and clip the gradient's norm to 1.

    Args:
        model: in training mode, gradients cleared.
        operator: A.
        y: measurements, (B, *operator.data_shape).
        truth: images, (B, C, H, W).
        loss: ``final`` or ``aux``.
        precision: see ``Objective``.
    """
    objective = Objective(model, loss, precision)
    objective(y, operator, truth).backward()
    return StepReport(objective.value, clip_gradients(model, CLIP_NORM), objective.solves)


def clip_gradients(model: nn.Module, norm: float) -> Tensor:
    """Scale the gradients down to a norm where it is larger; return the norm before."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), norm, foreach=True).detach()


def training_step(
    model: ReconstructionModel,
    optimizer: torch.optim.Optimizer,
    operator: ForwardOperator,
    y: Tensor,
    truth: Tensor,
    loss: Loss,
    precision: Precision = "fp32",
) -> None:
    """Run one full step, as memory and time are measured: no value is read on the host."""
    compute_gradients(model, operator, y, truth, loss, precision)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
