"""Counts how often an operator and its adjoint are applied, by phase of the training step."""

from collections import Counter
from typing import Literal

from torch import Tensor

from operators.base import ForwardOperator
from operators.phases import Phase, current_phase, is_counted
from operators.wrappers.base import OperatorWrapper

Direction = Literal["forward", "adjoint"]


class CallCounter(OperatorWrapper):
    """Wraps an operator and counts every application, those that autograd makes included.

    A, and J(x) where autograd needs it, count as ``forward``; A^H and J(x)^H as ``adjoint``; a gramian, and the
    second derivative of a non-linear operator, as one of each.

    Attributes:
        calls: applications by (direction, phase); a batch counts once.
        samples: images processed by (direction, phase); a batch of B counts B times.

    Args:
        operator: the operator to count; results are its own, unchanged. Finding its norm is not counted.

    Examples:
        >>> import torch
        >>> from models import LuserSW
        >>> from operators import CallCounter, GaussianBlur
        >>> counter = CallCounter(GaussianBlur((16, 16)))
        >>> image = LuserSW(channels=3, num_stages=2)(torch.rand(1, 3, 16, 16), counter).image
        >>> dict(counter.calls)
        {('forward', 'reconstruct'): 2, ('adjoint', 'reconstruct'): 2}
    """

    def __init__(self, operator: ForwardOperator) -> None:
        super().__init__(operator)
        self.calls: Counter[tuple[Direction, Phase]] = Counter()
        self.samples: Counter[tuple[Direction, Phase]] = Counter()

    def _forward(self, x: Tensor) -> Tensor:
        self._count(len(x), "forward")
        return super()._forward(x)

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        self._count(len(v), "adjoint")
        return super()._pullback(x, v)

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        self._count(len(x), "forward", "adjoint")
        return super()._second_order(x, v, direction)

    def _gramian(self, x: Tensor) -> Tensor:
        self._count(len(x), "forward", "adjoint")
        return super()._gramian(x)

    def reset(self) -> None:
        """Forget all counts."""
        self.calls.clear()
        self.samples.clear()

    def _count(self, batch: int, *directions: Direction) -> None:
        if not is_counted():
            return
        for direction in directions:
            key = (direction, current_phase())
            self.calls[key] += 1
            self.samples[key] += batch
