"""The interface of every operator: a map, the adjoint of its Jacobian, and autograd through both."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from operators.arithmetic import Arithmetic
from operators.autograd import apply, apply_gramian, pull_back
from operators.changes import Snapshot
from operators.compiled import new_key
from operators.norms import power_iteration
from operators.tables import stored_bytes


class ForwardOperator(Arithmetic["ForwardOperator"], nn.Module, ABC):
    """A map A from images to measurements with A(0) = 0, and the adjoint of its Jacobian.

    Models and tasks know operators by this class alone. Autograd goes through every method to any order, and
    saves no more than the method's arguments; the derivatives it takes are applications too, and are counted as
    such. So they are in every transform of ``torch.func``, and ``torch.compile`` takes an application as one step.
    Only where tensors of the operator's own want gradients, autograd goes through its computation instead. The inner
    product is the real one, ``Re<u, v>``, so that complex measurements of real-valued images have an exact adjoint. A
    new operator is a ``LinearOperator`` or a ``NonlinearOperator``.

    Args:
        image_shape: shape of one image, without the batch axis: (C, H, W).
        data_shape: shape of one measurement, without the batch axis.

    Attributes:
        linear: whether A is linear: its Jacobian is then A itself, everywhere.
        complex_images: whether images are complex, as those of the adjoint of an A with complex measurements.
        key: under which compiled graphs find the operator, in this process.

    Source: the operator pattern of torchkbnufft and SigPy's ``Linop``.
    """

    linear: bool
    complex_images: bool = False

    def __init__(self, image_shape: tuple[int, ...], data_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.data_shape = tuple(data_shape)
        self._norm: float | None = None
        self._normed = Snapshot(())  # what the norm is of
        self.times_forgotten = 0
        self.key = new_key(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.key = new_key(self)  # a copy is another operator

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor:
        """A(x) for a batch (B, *image_shape), without autograd."""

    @abstractmethod
    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        """J(x)^H v for batches (B, *image_shape) and (B, *data_shape), without autograd; x is None if linear."""

    @abstractmethod
    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives of <direction, J(x)^H v> by x and by v, the latter being J(x) direction; not if linear."""

    @abstractmethod
    def _gramian(self, x: Tensor) -> Tensor:
        """A^H A x for a batch (B, *image_shape), without autograd; only if linear."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply A.

        Args:
            x: images, (B, *image_shape), float32 or float64, or complex where ``complex_images``.

        Returns:
            Measurements, (B, *data_shape), of the same precision.

        Raises:
            ValueError: if the axes after the batch are not this operator's ``image_shape``.
        """
        self._check(x, self.image_shape, "image")
        return apply(self, x)

    def pullback(self, x: Tensor, v: Tensor) -> Tensor:
        """Apply J(x)^H, the exact adjoint of A's Jacobian under the real inner product.

        Args:
            x: images at which A is linearised, (B, *image_shape); without influence where A is linear.
            v: measurements, (B, *data_shape).

        Returns:
            Images, (B, *image_shape): the gradient of ``Re<A(x), v>`` by x.

        Raises:
            ValueError: if the axes after the batch are not this operator's shapes.
        """
        if self.linear:
            return self.adjoint(v)
        self._check(x, self.image_shape, "image")
        self._check(v, self.data_shape, "measurement")
        return pull_back(self, x, v)

    def adjoint(self, y: Tensor) -> Tensor:
        """Apply J(0)^H: A^H where A is linear, else the adjoint of its linearisation about the empty image.

        Args:
            y: measurements, (B, *data_shape).

        Returns:
            Images, (B, *image_shape).

        Raises:
            ValueError: if the axes after the batch are not this operator's ``data_shape``.
        """
        self._check(y, self.data_shape, "measurement")
        return pull_back(self, None if self.linear else self._empty(y), y)

    def gramian(self, x: Tensor) -> Tensor:
        """Apply A^H A at once, which some operators do for less than the two cost.

        Args:
            x: images, (B, *image_shape).

        Returns:
            Images, (B, *image_shape).

        Raises:
            ValueError: if A is not linear, or the axes after the batch are not its ``image_shape``.
        """
        if not self.linear:
            raise ValueError("a non-linear operator has no gramian")
        self._check(x, self.image_shape, "image")
        return apply_gramian(self, x)

    def norm(self) -> float:
        """Return the largest singular value of J(0), by power iteration from a fixed start.

        It is kept until a parameter of the operator changes, or what it wraps: see ``forget_norm`` for the rest.

        Returns:
            ||A|| where A is linear, unitless, to about 1 % from below; 0 where A measures nothing.
        """
        if self._norm is None or not self._normed.holds(self._watched()):
            dtype = self._image_dtype(torch.float32)
            self.assume_norm(power_iteration(self._normal, self.image_shape, dtype, self.device))
        assert self._norm is not None
        return self._norm

    def assume_norm(self, norm: float) -> None:
        """Set the value of ``norm``, as for a part of a larger operator; ``ValueError`` unless finite, not negative."""
        if not 0 <= norm < float("inf"):
            raise ValueError(f"a norm is finite and not negative, got {norm}")
        self._norm, self._normed = norm, Snapshot(self._watched())

    def forget_norm(self) -> None:
        """Have ``norm`` find its value again, after a change of A that it can't notice."""
        self._norm = None
        self.times_forgotten += 1

    @abstractmethod
    def _normal(self, x: Tensor) -> Tensor:
        """J(0)^H J(0) x, without autograd."""

    def _watched(self) -> Iterator[Any]:
        """What decides A and may be changed by others: tensors, arrays, numbers."""
        yield from self.parameters()

    @property
    def learns(self) -> bool:
        """Whether tensors of the operator's own want gradients."""
        return torch.is_grad_enabled() and any(
            isinstance(value, Tensor) and value.requires_grad for value in self._watched()
        )

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The measurements' dtype for images of one: that of an empty batch."""
        with unset_fake_temporarily(), torch.no_grad():
            return self._forward(torch.zeros((0, *self.image_shape), dtype=dtype, device=self.device)).dtype

    def _empty(self, y: Tensor) -> Tensor:
        """Images of zeros for measurements; a dtype's counterpart is not to be asked for in compiled code."""
        like = y.real if y.is_complex() else y
        like = torch.complex(like, like) if self.complex_images else like
        return like.new_zeros((len(y), *self.image_shape))

    def _image_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The images' dtype for measurements of one."""
        return dtype.to_complex() if self.complex_images else dtype.to_real()

    @property
    def complex_data(self) -> bool:
        """Whether measurements are complex."""
        return self._data_dtype(self._image_dtype(torch.float32)).is_complex

    @property
    def device(self) -> torch.device:
        """The device of this operator's tables, or the CPU where it has none."""
        return next((t.device for t in (*self.buffers(), *self.parameters())), torch.device("cpu"))

    @property
    def frozen_values(self) -> int:
        """How many fixed kernel values a network that contains this operator would count as parameters."""
        return 0

    @property
    def expression(self) -> str:
        """The formula of an operator that is made of others, or a name."""
        return type(self).__name__.lstrip("_")

    def __repr__(self) -> str:
        size = f"{stored_bytes(self) / 1e6:.1f} MB"
        return f"{self.expression}: {self.image_shape} -> {self.data_shape}, {size} of tables"

    @staticmethod
    def _check(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
        if tuple(tensor.shape[1:]) != expected:
            raise ValueError(f"expected a {what} batch (B, {', '.join(map(str, expected))}), got {tuple(tensor.shape)}")


class LinearOperator(ForwardOperator):
    """A linear map A between images and measurements, with its adjoint.

    A new operator writes ``_forward`` and ``_adjoint`` on batches, ``_gramian`` too where A^H A is cheaper than
    the two, and gets shape checks, autograd (to any order, without saving an image) and its norm.
    """

    linear = True

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor:
        """A^H y for a batch (B, *data_shape), without autograd."""

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return self._adjoint(v)

    def _gramian(self, x: Tensor) -> Tensor:
        return self._adjoint(self._forward(x))

    def _normal(self, x: Tensor) -> Tensor:
        return self._adjoint(self._forward(x))

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("the Jacobian of a linear operator is constant")
