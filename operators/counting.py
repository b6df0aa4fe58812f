"""Counts how often an operator and its adjoint are applied, by phase of the training step."""

from collections import Counter
from typing import Literal

from torch import Tensor

from operators.base import LinearOperator
from operators.phases import Phase, current_phase

Direction = Literal["forward", "adjoint"]


class CallCounter(LinearOperator):
    """Wraps an operator and counts every application, those that autograd makes included.

    Attributes:
        calls: applications by (direction, phase); a batch counts once.
        samples: images processed by (direction, phase); a batch of B counts B times.

    Args:
        operator: the operator to count; results are its own, unchanged.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.image_shape, operator.data_shape)
        self.operator = operator
        self.calls: Counter[tuple[Direction, Phase]] = Counter()
        self.samples: Counter[tuple[Direction, Phase]] = Counter()

    def _forward(self, x: Tensor) -> Tensor:
        self._count("forward", len(x))
        return self.operator._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        self._count("adjoint", len(y))
        return self.operator._adjoint(y)

    def norm(self) -> float:
        """Return the wrapped operator's norm; finding it is not counted."""
        return self.operator.norm()

    @property
    def frozen_values(self) -> int:
        """The wrapped operator's frozen kernel values."""
        return self.operator.frozen_values

    def reset(self) -> None:
        """Forget all counts."""
        self.calls.clear()
        self.samples.clear()

    def _count(self, direction: Direction, batch: int) -> None:
        key = (direction, current_phase())
        self.calls[key] += 1
        self.samples[key] += batch
