"""Operators as autograd functions: derivatives are applications, and no intermediate is saved."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch._functorch.utils import unwrap_dead_wrappers

from operators.compiled import DIFFERENTIABLE, Opaque
from operators.map import Map, fold, physics
from operators.phases import phase

_is_vectorised: Callable[[Tensor], bool] = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda tensor: False)


class _Application(torch.autograd.Function):
    """Under ``vmap`` the mapped dimension and the batch are one batch."""

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """See PyTorch, which looks at ``forward``'s signature each time: longer than a small application takes."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*inputs)
        return super(torch.autograd.Function, cls).apply(*unwrap_dead_wrappers(inputs))  # type: ignore[misc]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        *tensors, operator = inputs
        whole, split = fold(info.batch_size, in_dims, tensors)
        return split(cls.apply(*whole, operator)), 0


class _Forward(_Application):
    """A(x); its derivative is the pullback. A linear operator's needs no x, so that nothing is saved at all."""

    @staticmethod
    def forward(x: Tensor, operator: Map) -> Tensor:
        return physics(operator._forward, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map], output: Tensor) -> None:
        x, ctx.operator = inputs
        ctx.data_dtype = output.dtype
        if not ctx.operator.linear:
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x = None if ctx.operator.linear else ctx.saved_tensors[0]
        with phase("backward"):
            return pull_back(_in_backward(ctx.operator), x, gradient), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        if ctx.operator.linear:
            return apply(ctx.operator, tangent)
        (x,) = ctx.saved_tensors
        nowhere = x.new_zeros((len(x), *ctx.operator.data_shape), dtype=ctx.data_dtype)
        return ctx.operator._second_order(x, nowhere, tangent)[1]


class _Pullback(_Application):
    """J(x)^H v; its derivative with respect to v is J(x), and that with respect to x is zero for a linear map."""

    @staticmethod
    def forward(x: Tensor | None, v: Tensor, operator: Map) -> Tensor:
        return physics(operator._pullback, x, v)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor | None, Tensor, Map], output: Tensor) -> None:
        x, v, ctx.operator = inputs
        if not ctx.operator.linear:
            ctx.save_for_backward(x, v)
            ctx.save_for_forward(x, v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        operator = _in_backward(ctx.operator)
        with phase("backward"):
            if operator.linear:
                return None, apply(operator, gradient), None
            x, v = ctx.saved_tensors
            return *operator._second_order(x, v, gradient), None

    @staticmethod
    def jvp(ctx: Any, by_x: Tensor | None, by_v: Tensor | None, *_: None) -> Tensor:
        if ctx.operator.linear:
            assert by_v is not None
            return pull_back(ctx.operator, None, by_v)
        x, v = ctx.saved_tensors
        # The second derivative of <A(x), v> is symmetric.
        parts = [] if by_x is None else [ctx.operator._second_order(x, v, by_x)[0]]
        return sum(parts, pull_back(ctx.operator, x, torch.zeros_like(v) if by_v is None else by_v))


class _Gramian(_Application):
    """A^H A x; its derivative is itself."""

    @staticmethod
    def forward(x: Tensor, operator: Map) -> Tensor:
        return physics(operator._gramian, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map], output: Tensor) -> None:
        ctx.operator = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        with phase("backward"):
            return apply_gramian(_in_backward(ctx.operator), gradient), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return apply_gramian(ctx.operator, tangent)


DIFFERENTIABLE.update(forward=_Forward.apply, pullback=_Pullback.apply, gramian=_Gramian.apply)


def apply(operator: Map, x: Tensor) -> Tensor:
    """Return A(x), differentiable to any order; shapes are not checked."""
    if operator.learns:  # its own derivatives, with which A's tensors get gradients too
        return physics(operator._forward, x)
    return _step("forward", operator, x) if _is_hidden(operator, x) else cast(Tensor, _Forward.apply(x, operator))


def pull_back(operator: Map, x: Tensor | None, v: Tensor) -> Tensor:
    """Return J(x)^H v, differentiable to any order; a linear operator takes no x."""
    if operator.learns:
        return physics(operator._pullback, x, v)
    if _is_hidden(operator, v):
        return _step("pullback", operator, x, v)
    return cast(Tensor, _Pullback.apply(x, v, operator))


def apply_gramian(operator: Map, x: Tensor) -> Tensor:
    """Return A^H A x of a linear operator, differentiable to any order."""
    if operator.learns:
        return physics(operator._gramian, x)
    return _step("gramian", operator, x) if _is_hidden(operator, x) else cast(Tensor, _Gramian.apply(x, operator))


def _is_hidden(operator: Map, tensor: Tensor) -> bool:
    """Whether an application has to be hidden from PyTorch as one step that it can't look into.

    So it is in a graph that is compiled, and under ``torch.autograd``'s own vectorisation, which knows no rules of
    autograd functions but takes an opaque step apart, row by row.
    """
    return not isinstance(operator, Opaque) and (torch.compiler.is_compiling() or _is_vectorised(tensor))


def _step(method: str, operator: Map, *tensors: Tensor | None) -> Tensor:
    from operators.steps import step  # which imports the compiler, as long to import as all else of PyTorch

    return step(method, operator.key, *tensors)


def _in_backward(operator: Map) -> Map:
    return operator.in_backward() if isinstance(operator, Opaque) else operator
