"""Reconstruction by total variation, a reference without training."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from models.base import starting_image
from operators.base import ForwardOperator

STEPS = 600
STEP_RATIO = 2.0
"""The primal step is so much longer, the dual steps so much shorter than 1 / sqrt 2: the fastest of 0.03 to 3 on every
task of the paper's."""


@torch.no_grad()
def total_variation(y: Tensor, operator: ForwardOperator, weight: float, steps: int = STEPS) -> Tensor:
    """Minimise 1/2 |A x - y|^2 / ||A||^2 + weight TV(x) by the primal-dual hybrid gradient method.

    TV(x) sums, over pixels, the length of the gradient (forward differences, none across the border), taken over
    all channels together: edges of colours coincide, and for a complex image it is that of the complex gradient.

    Args:
        y: measurements, (B, *operator.data_shape), float32 or complex64.
        operator: a linear A.
        weight: not negative, in the units of x; the same for every image.
        steps: iterations; those of well tuned weights have then settled to about 0.01 dB.

    Returns:
        Images (B, C, H, W), not clipped. No image depends on its batch-mates.

    Raises:
        ValueError: if A is not linear or the weight is negative.

    Source: Rudin, Osher and Fatemi 1992; Chambolle and Pock 2011, Algorithm 1; Bresson and Chan 2008 for the channels.
    """
    if not operator.linear:
        raise ValueError("total variation is minimised for linear operators only")
    if weight < 0:
        raise ValueError(f"weight must not be negative, got {weight}")
    norm = operator.norm()
    # The stacked map (A / ||A||, D / sqrt 8) has a norm of at most sqrt 2, since |D x|^2 <= 8 |x|^2.
    primal_step, dual_step = STEP_RATIO / math.sqrt(2), 1 / (STEP_RATIO * math.sqrt(2))
    y = y / norm
    x = starting_image(y * norm, operator).clone()
    ahead, residual, edges = x, torch.zeros_like(y), _differences(torch.zeros_like(x))
    for _ in range(steps):
        residual = (residual + dual_step * (operator(ahead) / norm - y)) / (1 + dual_step)
        edges = _shorten(edges + dual_step * _differences(ahead), weight * math.sqrt(8))
        before = x
        x = x - primal_step * (operator.adjoint(residual) / norm + _differences_adjoint(edges))
        ahead = 2 * x - before
    return x


def _differences(x: Tensor) -> Tensor:
    """D x / sqrt 8: forward differences down and across, zero behind the border; (B, C, H, W) -> (B, C, 2, H, W)."""
    down = F.pad(x.diff(dim=-2), (0, 0, 0, 1))
    across = F.pad(x.diff(dim=-1), (0, 1))
    return torch.stack([down, across], dim=2) / math.sqrt(8)


def _differences_adjoint(edges: Tensor) -> Tensor:
    """The exact adjoint of ``_differences``."""
    down, across = edges[:, :, 0, :-1], edges[:, :, 1, :, :-1]
    image = F.pad(down, (0, 0, 1, 0)) - F.pad(down, (0, 0, 0, 1))
    return (image + F.pad(across, (1, 0)) - F.pad(across, (0, 1))) / math.sqrt(8)


def _shorten(edges: Tensor, longest: float) -> Tensor:
    """Project every pixel's vector, over channels and directions, to at most a length."""
    length = edges.square().sum(dim=(1, 2), keepdim=True).sqrt()  # vector_norm takes twenty times as long
    return edges * (longest / length.clamp(min=max(longest, 1e-30)))
