"""Operators as autograd functions: derivatives are applications, and no intermediate is saved."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from operators.phases import phase


class Map(Protocol):
    """The methods of an operator that autograd calls."""

    @property
    def linear(self) -> bool:
        """Whether its derivatives need no image."""

    def _forward(self, x: Tensor) -> Tensor: ...

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor: ...

    def _gramian(self, x: Tensor) -> Tensor: ...


def _physics(compute: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Compute without autocast, which is on in a backward pass too: physics is never done in half precision."""
    device = next(t.device.type for t in tensors if t is not None)
    with torch.autocast(device, enabled=False):
        return compute(*tensors)


class _Forward(torch.autograd.Function):
    """A(x); its derivative is the pullback. A linear operator's needs no x, so that nothing is saved at all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: Map) -> Tensor:
        ctx.operator = operator
        if not operator.linear:
            ctx.save_for_backward(x)
        return _physics(operator._forward, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x = None if ctx.operator.linear else ctx.saved_tensors[0]
        with phase("backward"):
            return pull_back(ctx.operator, x, gradient), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        if not ctx.operator.linear:
            raise NotImplementedError("a non-linear operator has no forward-mode derivative")
        return apply(ctx.operator, tangent)


class _Pullback(torch.autograd.Function):
    """J(x)^H v; its derivative with respect to v is J(x), and that with respect to x is zero for a linear map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor | None, v: Tensor, operator: Map) -> Tensor:
        ctx.operator = operator
        if not operator.linear:
            assert x is not None
            ctx.save_for_backward(x, v)
        return _physics(operator._pullback, x, v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        with phase("backward"):
            if ctx.operator.linear:
                return None, apply(ctx.operator, gradient), None
            return *ctx.operator._second_order(*ctx.saved_tensors, gradient), None

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor, *__: None) -> Tensor:
        if not ctx.operator.linear:
            raise NotImplementedError("a non-linear operator has no forward-mode derivative")
        return pull_back(ctx.operator, None, tangent)


class _Gramian(torch.autograd.Function):
    """A^H A x; its derivative is itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: Map) -> Tensor:
        ctx.operator = operator
        return _physics(operator._gramian, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        with phase("backward"):
            return apply_gramian(ctx.operator, gradient), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return apply_gramian(ctx.operator, tangent)


def apply(operator: Map, x: Tensor) -> Tensor:
    """Return A(x), differentiable to any order; shapes are not checked."""
    return cast(Tensor, _Forward.apply(x, operator))


def pull_back(operator: Map, x: Tensor | None, v: Tensor) -> Tensor:
    """Return J(x)^H v, differentiable to any order; a linear operator takes no x."""
    return cast(Tensor, _Pullback.apply(x, v, operator))


def apply_gramian(operator: Map, x: Tensor) -> Tensor:
    """Return A^H A x of a linear operator, differentiable to any order."""
    return cast(Tensor, _Gramian.apply(x, operator))
