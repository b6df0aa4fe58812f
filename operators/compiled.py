"""Operators inside ``torch.compile``: an application is one opaque step of the graph.

The compiler can't look into files, NumPy or other libraries, and need not: as outside of it, derivatives are
applications, and results are the same to the bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from operators.map import Map, fold, physics
from operators.phases import current_phase, phase

_NUMBERS = count()
_PLAIN_DISPATCH = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
_OPERATORS: WeakValueDictionary[str, Map] = WeakValueDictionary()


def new_key(operator: Map) -> str:
    """Return a name under which graphs find an operator of this process."""
    key = f"{type(operator).__name__}-{next(_NUMBERS)}"
    _OPERATORS[key] = operator
    return key


@torch.library.custom_op("reconstruction_operators::apply", mutates_args=())
def apply(x: Tensor | None, v: Tensor | None, key: str, method: str, backward: bool = False) -> Tensor:
    """Apply a ``forward`` map or a ``gramian`` to x, or a ``pullback`` to v at x; differentiable.

    Args:
        x: images (B, *image_shape); None for a linear operator's pullback.
        v: measurements (B, *data_shape), of a pullback alone.
        key: of the operator.
        method: ``forward``, ``pullback`` or ``gramian``.
        backward: whether a backward pass asks for it.
    """
    operator = _OPERATORS[key]
    tensors = (x, v) if method == "pullback" else (x,)
    with _as_outside(), phase("backward" if backward else current_phase()):
        result = physics(getattr(operator, f"_{method}"), *tensors)
    return _own(result, *tensors)


@apply.register_fake
def _(x: Tensor | None, v: Tensor | None, key: str, method: str, backward: bool = False) -> Tensor:
    operator = _OPERATORS[key]
    if method == "forward":
        assert x is not None
        return x.new_empty((x.shape[0], *operator.data_shape), dtype=operator._data_dtype(x.dtype))
    like = v if method == "pullback" else x
    assert like is not None
    return like.new_empty((like.shape[0], *operator.image_shape), dtype=operator._image_dtype(like.dtype))


@torch.library.custom_op("reconstruction_operators::second_order", mutates_args=())
def _second_order(x: Tensor, v: Tensor, direction: Tensor, key: str) -> tuple[Tensor, Tensor]:
    """The derivatives of <direction, J(x)^H v> by x and by v, for a backward pass."""
    with _as_outside(), phase("backward"):
        by_x, by_v = _OPERATORS[key]._second_order(x, v, direction)
    return _own(by_x, x, v, direction), _own(by_v, x, v, direction)


@_second_order.register_fake
def _(x: Tensor, v: Tensor, direction: Tensor, key: str) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), v.new_empty(v.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, v, ctx.key, ctx.method, _ = inputs
    if not _OPERATORS[ctx.key].linear:
        ctx.save_for_backward(*(x, v) if ctx.method == "pullback" else (x,))


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    linear, key = _OPERATORS[ctx.key].linear, ctx.key
    if ctx.method == "gramian":
        return apply(gradient, None, key, "gramian", True), None, None, None, None
    if ctx.method == "forward":
        x = None if linear else ctx.saved_tensors[0]
        return apply(x, gradient, key, "pullback", True), None, None, None, None
    if linear:
        return None, apply(gradient, None, key, "forward", True), None, None, None
    return *_second_order(*ctx.saved_tensors, gradient, key), None, None, None


apply.register_autograd(_backward, setup_context=_save)


@apply.register_vmap
def _(
    info: Any, in_dims: tuple[int | None, ...], x: Tensor | None, v: Tensor | None, *options: Any
) -> tuple[Tensor, int]:
    whole, split = fold(info.batch_size, in_dims, (x, v))
    return split(apply(*whole, *options)), 0


@contextmanager
def _as_outside() -> Iterator[None]:
    """Compute as in code that is not compiled: a graph's steps run without autograd and conjugate views."""
    with torch._C._ForceDispatchKeyGuard(*_PLAIN_DISPATCH), torch.no_grad():
        yield


def _own(result: Tensor, *inputs: Tensor | None) -> Tensor:
    """Return a result in memory of its own and in order, as the compiler expects it."""
    memory = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor is not None}
    return result.clone() if result.untyped_storage().data_ptr() in memory else result.contiguous()
