"""The base class of operators that are made of others."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from operators.autograd import apply
from operators.base import ForwardOperator
from operators.nonlinear import normal_about_zero


class Composite(ForwardOperator):
    """An operator made of parts, which it shares: nothing of theirs is copied.

    Parts are applied with their own derivatives, so that a composite is exact to any order like they are, in every
    transform and where parts learn. It is linear if all parts are. Its norm notices what a part's would notice, and
    a part's ``forget_norm``.

    Args:
        parts: linear or not.
        image_shape: shape of one image.
        data_shape: shape of one measurement.
        complex_images: whether images are complex.
    """

    def __init__(
        self,
        parts: Sequence[ForwardOperator],
        image_shape: tuple[int, ...],
        data_shape: tuple[int, ...],
        complex_images: bool,
    ) -> None:
        super().__init__(image_shape, data_shape)
        self._parts = nn.ModuleList(parts)
        self.linear = all(part.linear for part in parts)
        self.complex_images = complex_images

    @property
    def parts(self) -> tuple[ForwardOperator, ...]:
        """The operators that it is made of."""
        return tuple(cast("Iterator[ForwardOperator]", iter(self._parts)))

    def _gramian(self, x: Tensor) -> Tensor:
        return self._pullback(None, self._forward(x))

    def _normal(self, x: Tensor) -> Tensor:
        return self._pullback(None, self._forward(x)) if self.linear else normal_about_zero(self, x)

    def _watched(self) -> Iterator[Any]:
        for part in self.parts:
            yield part.times_forgotten
            yield from part._watched()

    def forget_norm(self) -> None:
        """Have ``norm`` find its value again, after a change that neither this operator nor a part can notice."""
        super().forget_norm()
        for part in self.parts:
            part.forget_norm()

    @property
    def frozen_values(self) -> int:
        """The frozen kernel values of all operators that it is made of, each counted once."""
        leaves = (m for m in self.modules() if isinstance(m, ForwardOperator) and not _holds_operators(m))
        return sum(leaf.frozen_values for leaf in leaves)


class DerivedNorm(Composite):
    """A composite of one part, whose norm decides its own: no iteration, and nothing to go stale."""

    def norm(self) -> float:
        """Return the value that was assumed for this operator, else the one that follows from its part's."""
        assumed = self._norm is not None and self._normed.holds(self._watched())
        return super().norm() if assumed else self._norm_from(self.part.norm())

    @property
    def part(self) -> ForwardOperator:
        """The operator that it is made of."""
        return self.parts[0]

    def _norm_from(self, norm: float) -> float:
        raise NotImplementedError


def second_order_of(part: ForwardOperator, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part's derivatives of <direction, J(x)^H v> by x and by v; linear ones have none by x."""
    if part.linear:
        return torch.zeros_like(direction), apply(part, direction)
    return part._second_order(x, v, direction)


def _holds_operators(module: ForwardOperator) -> bool:
    return any(isinstance(child, ForwardOperator) for child in module.modules() if child is not module)


def kind(is_complex: bool) -> str:
    """Return how messages call tensors that are complex or not."""
    return "complex" if is_complex else "real"
