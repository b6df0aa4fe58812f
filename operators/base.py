"""The contract every linear operator keeps: a map, its exact adjoint, and autograd through both."""

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn

from operators.phases import phase

NORM_ITERATIONS = 50


class _LinearMap(torch.autograd.Function):
    """Applies A or A^H; its derivative is the other one, so that nothing is saved for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: "LinearOperator", adjoint: bool) -> Tensor:
        ctx.operator, ctx.adjoint = operator, adjoint
        return operator._adjoint(x) if adjoint else operator._forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        with phase("backward"):
            return cast(Tensor, _LinearMap.apply(gradient, ctx.operator, not ctx.adjoint)), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return cast(Tensor, _LinearMap.apply(tangent, ctx.operator, ctx.adjoint))


class LinearOperator(nn.Module, ABC):
    """A linear map A between images and measurements, with its adjoint.

    A new operator writes ``_forward`` and ``_adjoint`` on batches and gets shape checks, autograd in both
    directions (to any order, without saving an image) and its norm. The inner product is the real one,
    Re<u, v>, so that complex measurements of real-valued images have an exact adjoint too.

    Args:
        image_shape: shape of one image, without the batch axis: (C, H, W).
        data_shape: shape of one measurement, without the batch axis.

    Source: the operator pattern of torchkbnufft and SigPy's ``Linop``.
    """

    def __init__(self, image_shape: tuple[int, ...], data_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.data_shape = tuple(data_shape)
        self._norm: float | None = None

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor:
        """A x for a batch (B, *image_shape), without autograd."""

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor:
        """A^H y for a batch (B, *data_shape), without autograd."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply A.

        Args:
            x: images, (B, *image_shape), float32 or float64.

        Returns:
            Measurements, (B, *data_shape), of the same precision.

        Raises:
            ValueError: if the axes after the batch are not this operator's ``image_shape``.
        """
        self._check(x, self.image_shape, "image")
        return cast(Tensor, _LinearMap.apply(x, self, False))

    def adjoint(self, y: Tensor) -> Tensor:
        """Apply A^H, the exact adjoint of ``forward`` under the real inner product.

        Args:
            y: measurements, (B, *data_shape).

        Returns:
            Images, (B, *image_shape).

        Raises:
            ValueError: if the axes after the batch are not this operator's ``data_shape``.
        """
        self._check(y, self.data_shape, "measurement")
        return cast(Tensor, _LinearMap.apply(y, self, True))

    def norm(self) -> float:
        """Return the largest singular value, by power iteration on A^H A from a fixed start; cached.

        Returns:
            ||A||, unitless, to about 1 % from below.
        """
        if self._norm is None:
            self._norm = self._power_iteration()
        return self._norm

    @torch.no_grad()
    def _power_iteration(self) -> float:
        generator = torch.Generator().manual_seed(0)
        x = torch.rand((1, *self.image_shape), generator=generator).to(self.device)
        norm = x.new_zeros(())
        for _ in range(NORM_ITERATIONS):
            x = self._adjoint(self._forward(x / torch.linalg.vector_norm(x)))
            norm = torch.linalg.vector_norm(x).sqrt()
        return float(norm)

    @property
    def device(self) -> torch.device:
        """The device of this operator's tables, or the CPU where it has none."""
        return next((t.device for t in (*self.buffers(), *self.parameters())), torch.device("cpu"))

    @property
    def frozen_values(self) -> int:
        """How many fixed kernel values a network that contains this operator would count as parameters."""
        return 0

    @staticmethod
    def _check(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
        if tuple(tensor.shape[1:]) != expected:
            raise ValueError(f"expected a {what} batch (B, {', '.join(map(str, expected))}), got {tuple(tensor.shape)}")
