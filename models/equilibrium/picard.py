"""Plain fixed-point iteration."""

from dataclasses import dataclass

from torch import Tensor

from models.equilibrium.fixed_point import History, SampleWiseSolver


@dataclass(frozen=True, kw_only=True)
class Picard(SampleWiseSolver):
    """Plain iteration z <- z + damping (f(z) - z); it converges where f contracts.

    Attributes:
        damping: 1 takes f(z) itself.
    """

    damping: float = 1.0

    def _begin(self, z: Tensor) -> History:
        return _NoHistory(self.damping)


class _NoHistory(History):
    def __init__(self, damping: float) -> None:
        self.damping = damping

    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        return value if self.damping == 1 else z + self.damping * difference

    def keep(self, rows: Tensor) -> None:
        pass
