"""Operators applied one after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from operators.algebra.composite import Composite
from operators.algebra.single import in_brackets
from operators.autograd import apply, apply_gramian, pull_back
from operators.base import ForwardOperator


class Composition(Composite):
    """A B ... C x, the last factor first.

    Between factors that are not linear, images are computed again for a derivative, and none is kept.

    Args:
        factors: two or more, each taking what the next one measures.
    """

    def __init__(self, factors: Sequence[ForwardOperator]) -> None:
        first, last = factors[-1], factors[0]
        super().__init__(factors, first.image_shape, last.data_shape, first.complex_images)

    def _forward(self, x: Tensor) -> Tensor:
        return _through(self.parts, x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        if x is None:
            return _back(self.parts, v)
        images = [x]
        for factor in self.parts[:0:-1]:
            images.append(apply(factor, images[-1]))
        for factor in self.parts:
            v = pull_back(factor, None if factor.linear else images[-1], v)
            images.pop()
        return v

    def _gramian(self, x: Tensor) -> Tensor:
        last, *inner = self.parts
        return _back(inner, apply_gramian(last, _through(inner, x)))

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        for factor in reversed(self.parts):
            dtype = factor._data_dtype(dtype)
        return dtype

    @property
    def expression(self) -> str:
        """The factors', joined by ``@``."""
        return " @ ".join(in_brackets(factor) for factor in self.parts)


def _through(factors: Sequence[ForwardOperator], x: Tensor) -> Tensor:
    for factor in reversed(factors):
        x = apply(factor, x)
    return x


def _back(factors: Sequence[ForwardOperator], v: Tensor) -> Tensor:
    for factor in factors:
        v = pull_back(factor, None, v)
    return v
