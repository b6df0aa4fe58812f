"""Operators applied one after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from operators.algebra.composite import Composite, second_order_of
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
        for factor, image in zip(self.parts, self._images(x), strict=True):
            v = pull_back(factor, None if factor.linear else image, v)
        return v

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        steps = []  # every factor with its image and the v that it pulls back, the last one to be applied first
        for factor, image in zip(self.parts, self._images(x), strict=True):
            steps.append((factor, image, v))
            v = pull_back(factor, None if factor.linear else image, v)
        by_images = []
        for factor, image, pulled in reversed(steps):
            by_image, direction = second_order_of(factor, image, pulled, direction)
            by_images.append(by_image)
        by_x = by_images.pop()
        for factor, image, _ in steps[1:]:
            by_x = by_images.pop() + pull_back(factor, None if factor.linear else image, by_x)
        return by_x, direction

    def _images(self, x: Tensor) -> list[Tensor]:
        """What every factor is applied to, the last one to be applied first."""
        images = [x]
        for factor in self.parts[:0:-1]:
            images.append(apply(factor, images[-1]))
        return images[::-1]

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
