"""Bridges to deepinv: its physics as operators here, operators from here as its physics."""

from collections.abc import Container, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from operators.base import ForwardOperator, LinearOperator
from operators.changes import Snapshot
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype

_DECLARED: list[torch.library.Library] = []  # a declaration lives as long as its library object


class _DeepinvOperator(LinearOperator):
    """A deepinv physics without its noise."""

    def __init__(self, physics: Any, image_shape: tuple[int, ...]) -> None:
        device = next((tensor.device for _, tensor in _tensors(physics)), torch.device("cpu"))
        y, self._derived = _measured(physics, torch.zeros(1, *image_shape, device=device))
        super().__init__(image_shape, tuple(y.shape[1:]))
        self.physics = physics
        self._complex_data = y.is_complex()
        self._adjoint_of = Snapshot(())

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        dtype = _COMPLEX[x.dtype] if self._complex_data else x.dtype
        if len(x) == 0:
            return x.new_zeros((0, *self.data_shape), dtype=dtype)
        y = self.physics.A(_cast(x, self.physics))
        if tuple(y.shape) != (len(x), *self.data_shape):
            raise ValueError(f"the physics measured {self.data_shape} before, now {tuple(y.shape[1:])}")
        return y.to(dtype).contiguous()  # in forward mode PyTorch wants tangents laid out like their results

    def _adjoint(self, y: Tensor) -> Tensor:
        require_dtype(y, COMPLEX_DTYPES if self._complex_data else REAL_DTYPES, "measurement")
        if len(y) == 0:
            return y.real.new_zeros((0, *self.image_shape))
        self._forget_adjoints()
        return _image(self.physics.A_adjoint(_cast(y, self.physics)), y)

    def _gramian(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        if len(x) == 0:
            return x.clone()
        self._forget_adjoints()
        return _image(self.physics.A_adjoint_A(_cast(x, self.physics)), x)

    def _watched(self) -> Iterator[Any]:
        for module in self.physics.modules():
            yield from (
                value for name, value in vars(module).items() if isinstance(value, _PLAIN) and name != "training"
            )
        yield from (tensor for name, tensor in _tensors(self.physics) if name not in self._derived)

    def _forget_adjoints(self) -> None:
        """Have adjoints be derived again that deepinv derived of a map which has changed since."""
        keeping = [module for module in self.physics.modules() if hasattr(module, _KEPT_ADJOINT)]
        if keeping and not self._adjoint_of.holds(self._watched()):
            for module in keeping:
                setattr(module, _KEPT_ADJOINT, None)
            self._adjoint_of = Snapshot(self._watched())

    @property
    def learns(self) -> bool:
        """Whether tensors of the physics want gradients."""
        return torch.is_grad_enabled() and any(tensor.requires_grad for _, tensor in _tensors(self.physics))


_PLAIN = (bool, int, float, complex, str)
_COMPLEX = {torch.float16: torch.complex32, torch.float32: torch.complex64, torch.float64: torch.complex128}
_REAL = {other: real for real, other in _COMPLEX.items()}  # the compiler doesn't know ``to_real``
_NO_NUMBER = "_device_holder"
"""What deepinv's physics know their device by."""
_KEPT_ADJOINT = "_auto_grad_adjoint_fn"
"""Where deepinv's tomography keeps its adjoint, which would not follow a change of the map."""


def _tensors(physics: Any, but: Container[int] = ()) -> Iterator[tuple[tuple[int, str], Tensor]]:
    """All tensors of a physics by module and name, also what is no parameter or buffer; but not of some modules."""
    for number, module in enumerate(physics.modules()):
        if id(module) in but:
            continue
        for own in (module._parameters, module._buffers, vars(module)):
            yield from (((number, name), value) for name, value in own.items() if isinstance(value, Tensor))


def _measured(physics: Any, empty: Tensor) -> tuple[Tensor, set[tuple[int, str]]]:
    """Return what a physics measures of an empty image, and which of its tensors every application makes anew."""
    try:
        with torch.no_grad():
            y = physics.A(_cast(empty, physics))
            before = dict(_tensors(physics))
            physics.A(_cast(empty, physics))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{type(physics).__name__} measures no real {tuple(empty.shape[1:])} images: {reason}"
        ) from error
    if not isinstance(y, Tensor):
        raise ValueError(f"expected a physics that measures one tensor, got {type(y).__name__}")
    return y, {name for name, tensor in _tensors(physics) if tensor is not before.get(name)}


def _cast(tensor: Tensor, physics: Any) -> Tensor:
    """Return a tensor in the precision that most numbers of a physics have, or as it is where it has none."""
    counts: dict[torch.dtype, int] = {}
    ours = {
        id(part) for module in physics.modules() if isinstance(module, ForwardOperator) for part in module.modules()
    }
    for (_, name), values in _tensors(physics, ours):
        if name != _NO_NUMBER and (values.is_floating_point() or values.is_complex()):
            precision = _REAL.get(values.dtype, values.dtype)
            counts[precision] = counts.get(precision, 0) + values.numel()
    if not counts:
        return tensor
    precision = max(counts, key=lambda dtype: counts[dtype])
    return tensor.to(_COMPLEX[precision] if tensor.is_complex() else precision)


def _image(x: Tensor, like: Tensor) -> Tensor:
    """Return an image in a tensor's precision; of a complex one the real part, the adjoint of a map of real images."""
    return (x.real if x.is_complex() else x).to(_REAL.get(like.dtype, like.dtype)).contiguous()


def from_deepinv(physics: Any, *, image_shape: tuple[int, ...]) -> LinearOperator:
    """Make an operator of a deepinv physics; its noise and sensor models stay outside.

    Autograd takes ``A_adjoint`` for the derivative, as everywhere here, so that it had better be the exact
    adjoint: some of deepinv's are not by default (``Tomography``'s is a rescaled backprojection).

    The physics may change later, by ``physics.update`` or in place: what the operator computes follows, its norm too.
    Tensors of the physics that want gradients get them.

    Args:
        physics: a ``deepinv.physics.LinearPhysics``. It computes in the precision that most of its own numbers have,
            in that of the input where it has none; results have the precision of the input.
        image_shape: (C, H, W) of one image.

    Returns:
        The operator, on the physics' device.

    Raises:
        ValueError: if the physics is not linear, does not measure real images of that shape, or measures a list of
            tensors; when applied, for tensors of integers or of half precision, and complex ones where real is due.

    Source: deepinv 0.5, ``deepinv.physics``.

    Examples:
        >>> import torch
        >>> from operators import from_deepinv
        >>> from operators.bridges.deepinv import import_deepinv
        >>> physics = import_deepinv().physics.Inpainting(img_size=(1, 8, 8), mask=torch.eye(8))
        >>> from_deepinv(physics, image_shape=(1, 8, 8))(torch.ones(1, 1, 8, 8)).sum()
        tensor(8.)
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
        made.operator = operator  # its tensors are the physics' own
        made.A_vjp = lambda x, v: operator.pullback(x, joined(v))
        return made
    made = physics.LinearPhysics(
        A=measure,
        A_adjoint=lambda y, **_: operator.adjoint(joined(y)),
        img_size=operator.image_shape,
        device=operator.device,
    )
    made.operator = operator
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
