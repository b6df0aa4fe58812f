"""Bridges to deepinv: its physics as operators here, operators from here as its physics."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from operators.base import ForwardOperator, LinearOperator
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype

_DECLARED: list[torch.library.Library] = []  # a declaration lives as long as its library object


class _DeepinvOperator(LinearOperator):
    """A deepinv physics without its noise."""

    def __init__(self, physics: Any, image_shape: tuple[int, ...]) -> None:
        empty = torch.zeros(1, *image_shape, dtype=_precision(physics), device=next(_tensors(physics), _NOTHING).device)
        with torch.no_grad():
            y = physics.A(empty)
        if not isinstance(y, Tensor):
            raise ValueError(f"expected a physics that measures one tensor, got {type(y).__name__}")
        super().__init__(image_shape, tuple(y.shape[1:]))
        self.physics = physics
        self._complex_data = y.is_complex()

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES + COMPLEX_DTYPES, "image")
        if len(x) == 0:
            return x.new_zeros((0, *self.data_shape), dtype=x.dtype.to_complex() if self._complex_data else x.dtype)
        return _cast(self.physics.A(_cast(x, _precision(self.physics))), x.dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, REAL_DTYPES + COMPLEX_DTYPES, "measurement")
        if len(y) == 0:
            return y.new_zeros((0, *self.image_shape), dtype=y.dtype.to_real())
        return _cast(self.physics.A_adjoint(_cast(y, _precision(self.physics))), y.dtype)

    def _gramian(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES + COMPLEX_DTYPES, "image")
        if len(x) == 0:
            return x.clone()
        return _cast(self.physics.A_adjoint_A(_cast(x, _precision(self.physics))), x.dtype)

    def _watched(self) -> Iterator[Any]:
        for module in self.physics.modules():
            yield from (
                value for name, value in vars(module).items() if isinstance(value, _PLAIN) and name != "training"
            )
        yield from _tensors(self.physics)


_PLAIN = (bool, int, float, complex, str)
_NOTHING = torch.zeros(())


def _tensors(physics: Any) -> Iterator[Tensor]:
    """All tensors of a physics, those that are neither parameter nor buffer included."""
    for module in physics.modules():
        own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())
        yield from (value for value in own if isinstance(value, Tensor))


def _precision(physics: Any) -> torch.dtype:
    return next((t.dtype for t in _tensors(physics) if t.is_floating_point()), torch.float32)


def _cast(tensor: Tensor, precision: torch.dtype) -> Tensor:
    return tensor.to(precision.to_complex() if tensor.is_complex() else precision.to_real())


def from_deepinv(physics: Any, *, image_shape: tuple[int, ...]) -> LinearOperator:
    """Make an operator of a deepinv physics; its noise and sensor models stay outside.

    Autograd takes ``A_adjoint`` for the derivative, as everywhere here, so that it had better be the exact
    adjoint: some of deepinv's are not by default (``Tomography``'s is a rescaled backprojection).

    The physics may change later, by ``physics.update`` or in place: what the operator computes follows, its norm too.
    Tensors of the physics that want gradients get them.

    Args:
        physics: a ``deepinv.physics.LinearPhysics``. It computes in the precision of its own tensors, float32
            unless ``physics.double()`` was called; results have the precision of the input.
        image_shape: (C, H, W) of one image.

    Returns:
        The operator, on the physics' device.

    Raises:
        ValueError: if the physics is not linear, or measures a list of tensors; when applied, for tensors of integers
            or of half precision.

    Source: deepinv 0.5, ``deepinv.physics``.
    """
    if not hasattr(physics, "A_adjoint"):
        raise ValueError(f"expected a linear physics of deepinv, with A and A_adjoint, got {type(physics).__name__}")
    return _DeepinvOperator(physics, image_shape)


def to_deepinv(operator: ForwardOperator) -> Any:
    """Make a deepinv physics of an operator, on the operator's device.

    Args:
        operator: linear or not.

    Returns:
        A ``LinearPhysics``, or for a non-linear operator a ``Physics`` whose ``A_vjp`` is the pullback.
        Complex measurements become two channels, (B, 2, *data_shape), as deepinv's MRI has them.

    Raises:
        ImportError: where deepinv is not installed, or can't be imported.
        ValueError: if it is no operator of this package.
    """
    if not isinstance(operator, ForwardOperator):
        raise ValueError(f"to_deepinv takes an operator of this package, got {type(operator).__name__}")
    physics = import_deepinv().physics
    is_complex = operator(torch.zeros(1, *operator.image_shape, device=operator.device)).is_complex()

    def measure(x: Tensor, **_: Any) -> Tensor:
        y = operator(x)
        return torch.view_as_real(y).movedim(-1, 1) if is_complex else y

    def joined(y: Tensor) -> Tensor:
        return torch.complex(y[:, 0], y[:, 1]) if is_complex else y

    if not operator.linear:
        made = physics.Physics(A=measure)
        made.A_vjp = lambda x, v: operator.pullback(x, joined(v))
        return made
    made = physics.LinearPhysics(
        A=measure,
        A_adjoint=lambda y, **_: operator.adjoint(joined(y)),
        img_size=operator.image_shape,
        device=operator.device,
    )
    made.A_adjoint_A = lambda x, **_: operator.gramian(x)
    return made


def import_deepinv() -> ModuleType:
    """Import deepinv, also where ``import_torchvision`` has to help.

    Raises:
        ImportError: where deepinv is not installed, or can't be imported.
    """
    import_torchvision()
    import deepinv

    return deepinv


def import_torchvision() -> ModuleType:
    """Import torchvision, also where the registry's doesn't load beside the CPU build of torch.

    It then fails on operators that its compiled part would have declared. They find objects in pictures; networks need
    none of them, so that declaring those two without an implementation is enough.

    Raises:
        ImportError: where torchvision is not installed, or can't be imported.
    """
    try:
        import torchvision
    except RuntimeError:
        if not _DECLARED:
            library = torch.library.Library("torchvision", "FRAGMENT")
            for name in ("nms", "qnms"):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(library)
        import torchvision

    return torchvision
