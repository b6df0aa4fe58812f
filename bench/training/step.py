"""One training step, which memory and timing measure too."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.recipe import Recipe
from bench.record import Loss, Precision
from models import Reconstruction, ReconstructionModel, Solve
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


Penalty = Callable[[Reconstruction], Tensor]
"""What is added to the loss of a reconstruction: a scalar with a graph."""


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
        with torch.autocast(truth.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            result = self.model(y, operator)
            loss = reconstruction_loss(result, truth, self.loss)
            self.value, self.solves = loss.detach(), result.solves
            return loss if penalty is None else loss + penalty(result)


@dataclass(frozen=True)
class StepReport:
    """What one step found, without a graph.

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
        """Whether loss and gradient are; looks at values on the host."""
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
    """Scale the gradients down to a norm where it is larger; return what it was."""
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
    """Run one full step, as memory and time are measured: no value is looked at on the host."""
    compute_gradients(model, operator, y, truth, loss, precision)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
