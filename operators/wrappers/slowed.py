"""An operator slowed down by a factor, to study costly operators."""

from collections.abc import Callable

from torch import Tensor

from operators.base import ForwardOperator
from operators.validation import require_count
from operators.wrappers.base import OperatorWrapper


class Slowed(OperatorWrapper):
    """Wraps an operator so that each application costs ``factor`` times as much, by really repeating it.

    Results, derivatives and norm are the wrapped operator's. Around it a ``CallCounter`` counts an application
    once, inside it ``factor`` times.

    Args:
        operator: A, linear or not.
        factor: how many times every application is made, at least 1.

    Raises:
        ValueError: if the factor is not a positive integer.

    Examples:
        >>> import torch
        >>> from operators import CallCounter, GaussianBlur, Slowed
        >>> inner = CallCounter(GaussianBlur((16, 16)))
        >>> y = Slowed(inner, 3)(torch.rand(1, 3, 16, 16))
        >>> inner.calls["forward", "reconstruct"]
        3
    """

    def __init__(self, operator: ForwardOperator, factor: int) -> None:
        super().__init__(operator)
        self.factor = require_count("factor", factor)

    def _forward(self, x: Tensor) -> Tensor:
        return self._repeat(lambda: super(Slowed, self)._forward(x))

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return self._repeat(lambda: super(Slowed, self)._pullback(x, v))

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.factor - 1):
            super()._second_order(x, v, direction)
        return super()._second_order(x, v, direction)

    def _gramian(self, x: Tensor) -> Tensor:
        return self._repeat(lambda: super(Slowed, self)._gramian(x))

    def _repeat(self, application: Callable[[], Tensor]) -> Tensor:
        for _ in range(self.factor - 1):
            application()
        return application()
