"""A convolution of a normalised activation that keeps only its input before the normalisation.

PyTorch's own operations keep the normalised tensor besides its input, and a concatenation besides its parts: more than
twice as much. Here the activation is computed again in the backward pass from the statistics, in one pass.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from operators.blocks import computes_on_cpu


class _Layout(NamedTuple):
    """What is no tensor: the norm's groups and epsilon, the activation's slope and the convolution's padding."""

    groups: int
    epsilon: float
    slope: float
    padding: tuple[int, int]


def normalised_convolution(
    x: Tensor, norm: nn.GroupNorm, activation: nn.LeakyReLU, convolution: nn.Conv2d, beside: Tensor | None = None
) -> Tensor:
    """Return ``convolution(cat(activation(norm(x)), beside))``, differentiable once.

    Under autocast the convolution runs in the lower precision and the norm in its weight's, as CUDA does it.

    Args:
        x: (B, C, H, W); kept for the backward pass, with ``beside``.
        norm: of C channels.
        activation: its slope must be positive; whether it is in place does not matter.
        convolution: of stride 1, with a bias, neither dilated nor grouped.
        beside: further input channels, (B, D, H, W).

    Returns:
        (B, C_out, H, W).
    """
    device = x.device.type
    lower = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else convolution.weight.dtype
    assert convolution.bias is not None
    assert isinstance(convolution.padding, tuple)
    layout = _Layout(norm.num_groups, norm.eps, activation.negative_slope, cast(tuple[int, int], convolution.padding))
    with torch.autocast(device, enabled=False):
        weight, bias = convolution.weight.to(lower), convolution.bias.to(lower)
        beside = None if beside is None else beside.to(lower)
        y, factor, offset = _ThroughInputs.apply(
            x, norm.weight, norm.bias, beside, weight.detach(), bias.detach(), layout
        )
        rebuilt = (x, factor, offset, beside)
        detached = (None if tensor is None else tensor.detach() for tensor in rebuilt)
        return cast(Tensor, y + _ThroughWeights.apply(weight, bias, y.detach(), layout, *detached))


class _ThroughInputs(torch.autograd.Function):
    """The value, and the gradient with respect to everything but the convolution's weight and bias."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        beside: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        layout: _Layout,
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, channels, *sides = x.shape
        normalised, mean, deviation = torch.native_group_norm(
            x.to(scale.dtype), scale, shift, batch, channels, sides[0] * sides[1], layout.groups, layout.epsilon
        )
        factor, offset = _affine(mean, deviation, scale, shift)
        ctx.layout = layout
        ctx.save_for_backward(x, mean, deviation, scale, factor, offset, weight)
        ctx.mark_non_differentiable(factor, offset)
        ctx.set_materialize_grads(False)
        activated = _activated(normalised, layout, beside, weight.dtype)
        del normalised
        return F.conv2d(activated, weight, bias, padding=layout.padding), factor, offset

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        x, mean, deviation, scale, factor, offset, weight = ctx.saved_tensors
        batch, channels, *sides = x.shape
        with torch.autocast(x.device.type, enabled=False):
            shape = (batch, weight.shape[1], *sides)
            pulled = _pulled(gradient, weight, shape, ctx.layout.padding)
            beside = pulled[:, channels:] if ctx.needs_input_grad[3] else None
            # The normalised tensor, then in its place the gradient with respect to it.
            normalised = _normalised(x, factor, offset)
            torch.ops.aten.leaky_relu_backward.grad_input(
                pulled[:, :channels].to(scale.dtype), normalised, ctx.layout.slope, False, grad_input=normalised
            )
            del pulled
            found = torch.ops.aten.native_group_norm_backward(
                normalised,
                x.to(scale.dtype),
                mean,
                deviation,
                scale,
                batch,
                channels,
                sides[0] * sides[1],
                ctx.layout.groups,
                (True, True, True),
            )
        return found[0].to(x.dtype), found[1], found[2], beside, None, None, None


class _ThroughWeights(torch.autograd.Function):
    """Zero, with the gradient with respect to the convolution's weight and bias.

    It is a node of its own because autograd does not tell a Python function which of its gradients are asked for:
    a backward solve asks for none of these, and this node is then left out.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, like: Tensor, layout: _Layout, *rebuilt: Tensor | None
    ) -> Tensor:
        ctx.layout = layout
        ctx.save_for_backward(weight, *rebuilt)
        return like.new_zeros(()).expand(like.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, factor, offset, beside = ctx.saved_tensors
        with torch.autocast(weight.device.type, enabled=False):
            activated = _activated(_normalised(x, factor, offset), ctx.layout, beside, weight.dtype)
            _, by_weight, by_bias = torch.ops.aten.convolution_backward(
                gradient,
                activated,
                weight,
                [len(weight)],
                (1, 1),
                ctx.layout.padding,
                (1, 1),
                False,
                (0, 0),
                1,
                (False, True, True),
            )
        return by_weight, by_bias, None, None, None, None, None, None


def _pulled(gradient: Tensor, weight: Tensor, shape: tuple[int, ...], padding: tuple[int, int]) -> Tensor:
    """Return the gradient with respect to a convolution's input of a shape."""
    if not computes_on_cpu(gradient):
        return conv2d_input(shape, weight, gradient, padding=padding)
    # The same, but for what stands for the input, whose values are not asked for: it is expanded from one value, and
    # the CPU would first write it out.
    channels_last = weight.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    unread = torch.empty(shape, dtype=weight.dtype, memory_format=layout)
    pulled, *_ = torch.ops.aten.convolution_backward(
        gradient, unread, weight, None, (1, 1), padding, (1, 1), False, (0, 0), 1, (True, False, False)
    )
    return cast(Tensor, pulled)


def _affine(mean: Tensor, deviation: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset, (B, C, 1, 1), of a norm with known statistics.

    Args:
        mean: of every sample and group, (B, G).
        deviation: one over the standard deviation, (B, G).
        scale: the norm's weight, (C,).
        shift: its bias, (C,).
    """
    batch, groups = mean.shape
    factor = deviation.view(batch, groups, 1) * scale.view(groups, -1)
    offset = shift.view(groups, -1) - mean.view(batch, groups, 1) * factor
    return factor.view(batch, len(scale), 1, 1), offset.view(batch, len(scale), 1, 1)


def _normalised(x: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    return torch.addcmul(offset, x.to(factor.dtype), factor)


def _activated(normalised: Tensor, layout: _Layout, beside: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return the convolution's input; ``normalised`` is overwritten."""
    activated = F.leaky_relu_(normalised, layout.slope).to(dtype)
    return activated if beside is None else torch.cat((activated, beside), dim=1)
