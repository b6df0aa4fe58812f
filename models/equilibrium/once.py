"""Backward passes that raise an error when differentiated themselves."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., tuple[Tensor | None, ...]]


def differentiable_once(reason: str) -> Callable[[Backward], Backward]:
    """Decorate an autograd function's ``backward``: differentiating its gradients again raises ``reason``.

    PyTorch's ``once_differentiable`` refuses only where the cotangent has a graph. Of a sum it has none, and the
    second derivative would silently lack what comes through this function.

    Args:
        reason: message of the RuntimeError, in one line.
    """

    def decorate(backward: Backward) -> Backward:
        @wraps(backward)
        def once(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
            with torch.no_grad():
                found = backward(ctx, *cotangents)
            if not torch.is_grad_enabled():  # no graph of the gradients is asked for
                return found
            anchor = torch.zeros((), requires_grad=True)
            marked = iter(_Refusal.apply(reason, anchor, *(part for part in found if part is not None)))
            return tuple(None if part is None else next(marked) for part in found)

        return once

    return decorate


class _Refusal(torch.autograd.Function):
    """The identity on gradients, which raises where it is differentiated."""

    @staticmethod
    def forward(ctx: Any, reason: str, anchor: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
        ctx.reason = reason
        return tuple(gradient.view_as(gradient) for gradient in gradients)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[None, ...]:
        raise RuntimeError(ctx.reason)
