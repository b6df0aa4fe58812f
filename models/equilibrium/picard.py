"""Plain fixed-point iteration."""

from dataclasses import dataclass

from torch import Tensor

from models.equilibrium.fixed_point import History, SampleWiseSolver
from operators.validation import require_number


@dataclass(frozen=True, kw_only=True)
class Picard(SampleWiseSolver):
    """Plain iteration z <- z + damping (f(z) - z); it converges where f contracts.

    Attributes:
        damping: above 0; 1 takes f(z) itself.

    Raises:
        ValueError: if it is out of range.

    Examples:
        >>> import torch
        >>> from models import Picard, fixed_point
        >>> found = fixed_point(torch.cos, torch.zeros(1, 3), solver=Picard(max_steps=5, tolerance=1e-6))
        >>> found.outcome.value, found.steps
        ('max_steps', tensor([5]))
    """

    damping: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("damping", self.damping, above=0)

    def _begin(self, z: Tensor) -> History:
        return _NoHistory(self.damping)


class _NoHistory(History):
    def __init__(self, damping: float) -> None:
        self.damping = damping

    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        return value if self.damping == 1 else z + self.damping * difference

    def keep(self, rows: Tensor) -> None:
        pass
