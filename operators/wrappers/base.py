"""The base class of operators that wrap an operator."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from operators.base import ForwardOperator


class OperatorWrapper(ForwardOperator):
    """Wraps another operator, linear or not: a subclass changes how applications run, not their results.

    Args:
        operator: whose applications these are.
    """

    def __init__(self, operator: ForwardOperator) -> None:
        super().__init__(operator.image_shape, operator.data_shape)
        self.operator = operator
        self.linear = operator.linear
        self.complex_images = operator.complex_images

    def _forward(self, x: Tensor) -> Tensor:
        return self.operator._forward(x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return self.operator._pullback(x, v)

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        return self.operator._second_order(x, v, direction)

    def _gramian(self, x: Tensor) -> Tensor:
        return self.operator._gramian(x)

    def _normal(self, x: Tensor) -> Tensor:
        return self.operator._normal(x)

    def norm(self) -> float:
        """Return the wrapped operator's norm, which may be known already."""
        return self.operator.norm()

    def assume_norm(self, norm: float) -> None:
        """Set the wrapped operator's norm."""
        self.operator.assume_norm(norm)

    def forget_norm(self) -> None:
        """Forget the wrapped operator's norm."""
        self.operator.forget_norm()

    def _watched(self) -> Iterator[Any]:
        return self.operator._watched()

    @property
    def learns(self) -> bool:
        """Whether tensors of the wrapped operator want gradients."""
        return self.operator.learns

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.operator._data_dtype(dtype)

    @property
    def expression(self) -> str:
        """The wrapper around what it wraps."""
        return f"{type(self).__name__}({self.operator.expression})"

    @property
    def frozen_values(self) -> int:
        """The wrapped operator's frozen kernel values."""
        return self.operator.frozen_values
