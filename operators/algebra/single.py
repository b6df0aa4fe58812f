"""Operators made of one other: its adjoint, A^H A, a multiple."""

import torch
from torch import Tensor

from operators.algebra.composite import DerivedNorm, second_order_of
from operators.autograd import apply, apply_gramian, pull_back
from operators.base import ForwardOperator


class _OfLinear(DerivedNorm):
    """Made of a linear operator, and so linear itself."""

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("the Jacobian of a linear operator is constant")


class Adjoint(_OfLinear):
    """A^H of a linear A, from its measurements to its images."""

    def __init__(self, operator: ForwardOperator) -> None:
        super().__init__([operator], operator.data_shape, operator.image_shape, operator.complex_data)

    def _forward(self, x: Tensor) -> Tensor:
        return pull_back(self.part, None, x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return apply(self.part, v)

    def _norm_from(self, norm: float) -> float:
        return norm

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.part._image_dtype(dtype)

    @property
    def expression(self) -> str:
        """The part's, with ``.H`` behind it."""
        return f"{in_brackets(self.part)}.H"


class Normal(_OfLinear):
    """A^H A of a linear A, by its ``gramian``."""

    def __init__(self, operator: ForwardOperator) -> None:
        super().__init__([operator], operator.image_shape, operator.image_shape, operator.complex_images)

    def _forward(self, x: Tensor) -> Tensor:
        return apply_gramian(self.part, x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return apply_gramian(self.part, v)

    def _norm_from(self, norm: float) -> float:
        return norm**2

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self._image_dtype(dtype)

    @property
    def expression(self) -> str:
        """The part's, with ``.N`` behind it."""
        return f"{in_brackets(self.part)}.N"


class Scaled(DerivedNorm):
    """A times a real number."""

    def __init__(self, factor: float, operator: ForwardOperator) -> None:
        super().__init__([operator], operator.image_shape, operator.data_shape, operator.complex_images)
        self.factor = factor

    def _forward(self, x: Tensor) -> Tensor:
        return self.factor * apply(self.part, x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return self.factor * pull_back(self.part, x, v)

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        by_x, by_v = second_order_of(self.part, x, v, direction)
        return self.factor * by_x, self.factor * by_v

    def _gramian(self, x: Tensor) -> Tensor:
        return self.factor**2 * apply_gramian(self.part, x)

    def _norm_from(self, norm: float) -> float:
        return abs(self.factor) * norm

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.part._data_dtype(dtype)

    @property
    def expression(self) -> str:
        """The number times the part's; a sign alone for -1."""
        return f"-{self.part.expression}" if self.factor == -1 else f"{self.factor:g} * {self.part.expression}"


def in_brackets(operator: ForwardOperator) -> str:
    """Return an operator's formula so that something can be written behind it."""
    text = operator.expression
    return f"({text})" if " " in text.partition("(")[0] or text.startswith("-") else text
