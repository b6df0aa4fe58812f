"""Operators inside ``torch.compile``: an application is one opaque step of the graph.

The compiler can't look into files, NumPy or other libraries, and need not: as outside of it, derivatives are
applications, and results are the same to the bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from operators.map import Map, physics
from operators.phases import current_phase, phase

_NUMBERS = count()
_PLAIN_DISPATCH = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
_OPERATORS: WeakValueDictionary[str, Map] = WeakValueDictionary()
DIFFERENTIABLE: dict[str, Callable[..., Tensor]] = {}
"""Applications by method, of tensors and an operator, as autograd functions."""


def new_key(operator: Map) -> str:
    """Return a name under which graphs find an operator of this process."""
    key = f"{type(operator).__name__}-{next(_NUMBERS)}"
    _OPERATORS[key] = operator
    return key


@torch.library.custom_op("reconstruction_operators::apply", mutates_args=())
def _apply(x: Tensor | None, v: Tensor | None, key: str, method: str, backward: bool) -> Tensor:
    """Apply a ``forward`` map or a ``gramian`` to x, or a ``pullback`` to v at x.

    Args:
        x: images (B, *image_shape); None for a linear operator's pullback.
        v: measurements (B, *data_shape), of a pullback alone.
        key: of the operator.
        method: ``forward``, ``pullback`` or ``gramian``.
        backward: whether a backward pass asks for it.
    """
    tensors = (x, v) if method == "pullback" else (x,)
    with _as_outside(), phase("backward" if backward else current_phase()):
        result = physics(getattr(_OPERATORS[key], f"_{method}"), *tensors)
    return _own(result, *tensors)


@_apply.register_fake
def _(x: Tensor | None, v: Tensor | None, key: str, method: str, backward: bool) -> Tensor:
    operator = _OPERATORS[key]
    if method == "forward":
        assert x is not None
        return x.new_empty((x.shape[0], *operator.data_shape), dtype=operator._data_dtype(x.dtype))
    like = v if method == "pullback" else x
    assert like is not None
    return like.new_empty((like.shape[0], *operator.image_shape), dtype=operator._image_dtype(like.dtype))


@torch.library.custom_op("reconstruction_operators::second_order", mutates_args=())
def _second_order(x: Tensor, v: Tensor, direction: Tensor, key: str, backward: bool) -> tuple[Tensor, Tensor]:
    """The derivatives of <direction, J(x)^H v> by x and by v."""
    with _as_outside(), phase("backward" if backward else current_phase()):
        by_x, by_v = _OPERATORS[key]._second_order(x, v, direction)
    return _own(by_x, x, v, direction), _own(by_v, x, v, direction)


@_second_order.register_fake
def _(x: Tensor, v: Tensor, direction: Tensor, key: str, backward: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), v.new_empty(v.shape)


class Opaque:
    """An operator whose every application is one step that PyTorch does not look into.

    Args:
        key: of the operator.
        backward: whether a backward pass applies it, which a graph has to know before it runs.
    """

    learns = False

    def __init__(self, key: str, backward: bool = False) -> None:
        operator = _OPERATORS[key]
        self.key, self.linear, self._backward = key, operator.linear, backward
        self.image_shape, self.data_shape = operator.image_shape, operator.data_shape
        self._data_dtype, self._image_dtype = operator._data_dtype, operator._image_dtype

    def in_backward(self) -> "Opaque":
        """Return it as a backward pass applies it."""
        return Opaque(self.key, backward=True)

    def _forward(self, x: Tensor) -> Tensor:
        return _apply(x, None, self.key, "forward", self._backward)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return _apply(x, v, self.key, "pullback", self._backward)

    def _gramian(self, x: Tensor) -> Tensor:
        return _apply(x, None, self.key, "gramian", self._backward)

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        return _second_order(x, v, direction, self.key, self._backward)


@contextmanager
def _as_outside() -> Iterator[None]:
    """Compute as in code that is not compiled: a graph's steps run without autograd and conjugate views."""
    with torch._C._ForceDispatchKeyGuard(*_PLAIN_DISPATCH), torch.no_grad():
        yield


def _own(result: Tensor, *inputs: Tensor | None) -> Tensor:
    """Return a result in memory of its own and in order, as the compiler expects it."""
    memory = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor is not None}
    return result.clone() if result.untyped_storage().data_ptr() in memory else result.contiguous()
