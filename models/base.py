"""The interface of every reconstruction model, and the data-consistency step that all share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from models.equilibrium.implicit import Solve
from operators import ForwardOperator, Radon
from operators.radon.filtered_backprojection import filtered_backprojection
from operators.validation import require_count

NUM_STAGES = 8
"""Unrolled stages K of the paper (Sec. 4.1)."""

Policy = Literal["paper", "recompute"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

Start = Literal["adjoint", "fbp"]
STARTS: tuple[Start, ...] = get_args(Start)
FBP_CUTOFF = 0.5
"""Share of the detector's Nyquist frequency: the best of a Hann window's on the validation slices of CT."""


@dataclass(frozen=True)
class Reconstruction:
    """What a model returns.

    Attributes:
        image: the reconstruction, (B, C, H, W).
        stages: every stage's output in order, ``image`` last; what the auxiliary loss compares.
        solves: one entry per stage for models with a fixed point, else empty; the backward pass completes them.
    """

    image: Tensor
    stages: tuple[Tensor, ...]
    solves: tuple[Solve, ...] = ()


class ReconstructionModel(nn.Module, ABC):
    """A network that reconstructs images from measurements of an operator.

    Args:
        channels: image channels C.
        policy: what training keeps for the backward pass. ``recompute`` keeps a stage's input and output and
            rebuilds it; ``paper`` keeps one graph per stage, as the paper's memory figures imply. Weights,
            results and gradients are the same.

    Attributes:
        start: the image it starts from, see ``starting_image``; the paper's is ``adjoint``.
        supports_auxiliary_loss: whether there are intermediate stages to compare with the truth.
        counts_operator: whether the paper's parameter count of this model includes the operator's frozen
            kernel (243 values of the 9x9 blur on three channels; Table 3's deblurring row).

    Raises:
        ValueError: if the policy is unknown, or there is no channel.
    """

    supports_auxiliary_loss = True
    counts_operator = True

    def __init__(self, channels: int, policy: Policy = "recompute") -> None:
        super().__init__()
        if policy not in POLICIES:
            raise ValueError(f"unknown policy {policy!r}; known: {', '.join(POLICIES)}")
        self.channels = require_count("channels", channels)
        self.policy = policy
        self.start: Start = "adjoint"
        # One step size shared by all stages: the '+1' in each of Table 3's parameter counts.
        self.step_size = nn.Parameter(torch.tensor(1.0))

    @abstractmethod
    def forward(self, y: Tensor, operator: ForwardOperator) -> Reconstruction:
        """Reconstruct a batch.

        Args:
            y: measurements, (B, *operator.data_shape).
            operator: A; the model divides by its norm, so that one step size serves every task.

        Returns:
            Images (B, C, H, W) and every stage's output.
        """

    def starting_image(self, y: Tensor, operator: ForwardOperator) -> Tensor:
        """Return what this model starts from; see the function ``starting_image``."""
        return starting_image(y, operator, self.start)

    def end_pretraining(self) -> None:
        """Prepare a network pretrained as a denoiser for training; nothing by default."""

    def freeze_statistics(self) -> None:
        """Keep the statistics that normalise images as they are from now on; nothing by default."""


def starting_image(y: Tensor, operator: ForwardOperator, start: Start = "adjoint") -> Tensor:
    """Return x_0: y itself where it is an image (deblurring), else A^H y / ||A||^2.

    A non-linear A is linearised about the empty image, for which it measures nothing.

    Args:
        y: measurements, (B, *operator.data_shape).
        operator: A.
        start: ``fbp`` starts a Radon transform's images from a filtered backprojection, without a graph.

    Returns:
        Images, (B, C, H, W).

    Raises:
        ValueError: if A measures nothing, the start is unknown, or A has no filtered backprojection.

    Source: LUSER, Sec. 4.1.

    Examples:
        >>> import torch
        >>> from models import starting_image
        >>> from operators import Radon
        >>> operator = Radon((16, 16), num_angles=8, num_detectors=23)
        >>> starting_image(operator(torch.rand(1, 1, 16, 16)), operator, "fbp").shape
        torch.Size([1, 1, 16, 16])
    """
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}; known: {', '.join(STARTS)}")
    if start == "fbp":
        if not isinstance(operator, Radon):
            raise ValueError(f"start 'fbp': {type(operator).__name__} has no filtered backprojection")
        return filtered_backprojection(y, operator, window="hann", cutoff=FBP_CUTOFF)
    if operator.data_shape == operator.image_shape:
        return y
    return operator.adjoint(y) / _squared_norm(operator)


def gradient_step(x: Tensor, y: Tensor, operator: ForwardOperator, step_size: Tensor) -> Tensor:
    """Return d = x + (step_size / ||A||^2) A^H (y - A x), the data-consistency step.

    A non-linear A has the adjoint of its Jacobian at x there, so that d is a gradient step all the same.

    Args:
        x: images, (B, C, H, W).
        y: measurements, (B, *operator.data_shape).
        operator: A.
        step_size: scalar lambda, for an operator of norm one.

    Raises:
        ValueError: if A measures nothing.

    Source: LUSER, Sec. 3.

    Examples:
        >>> import torch
        >>> from models import gradient_step
        >>> from operators import Identity
        >>> x, y = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> gradient_step(x, y, Identity((1, 2, 2)), torch.tensor(0.5))
        tensor([[[[0.5000, 0.5000],
                  [0.5000, 0.5000]]]])
    """
    return x + (step_size / _squared_norm(operator)) * operator.pullback(x, y - operator(x))


def _squared_norm(operator: ForwardOperator) -> float:
    norm = operator.norm()
    if norm == 0:
        raise ValueError("the operator measures nothing: every image has zero measurements")
    return norm**2


def parameter_counts(model: ReconstructionModel, operator: ForwardOperator) -> tuple[int, int]:
    """Return Table 3's parameter count of a model and its trainable parameters alone.

    Examples:
        >>> from models import LuserDW, parameter_counts
        >>> from operators import GaussianBlur
        >>> parameter_counts(LuserDW(channels=3), GaussianBlur((16, 16)))  # the paper's Table 3
        (770073, 770073)
    """
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = operator.frozen_values if model.counts_operator else 0
    return trainable + frozen, trainable
