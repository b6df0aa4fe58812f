"""Operators that measure the same image: added, or side by side."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from operators.algebra.composite import Composite, kind, second_order_of
from operators.autograd import apply, apply_gramian, pull_back
from operators.base import ForwardOperator


class Sum(Composite):
    """A x + B x + ... for operators of the same shapes.

    Args:
        terms: two or more.
    """

    def __init__(self, terms: Sequence[ForwardOperator]) -> None:
        first = terms[0]
        super().__init__(terms, first.image_shape, first.data_shape, first.complex_images)

    def _forward(self, x: Tensor) -> Tensor:
        return reduce(torch.add, [apply(term, x) for term in self.parts])

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        return reduce(torch.add, [pull_back(term, None if term.linear else x, v) for term in self.parts])

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        by_x, by_v = zip(*(second_order_of(term, x, v, direction) for term in self.parts), strict=True)
        return reduce(torch.add, by_x), reduce(torch.add, by_v)

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.parts[0]._data_dtype(dtype)

    @property
    def expression(self) -> str:
        """The terms', joined by signs, in brackets."""
        return f"({' + '.join(term.expression for term in self.parts).replace(' + -', ' - ')})"


class Stack(Composite):
    """Several measurements of the same image, one after the other in one vector (B, N).

    Whatever their shapes, measurements are flattened and joined, as in SigPy's ``Vstack`` and PyLops' ``VStack``;
    ``split`` gives them back in their own shapes, ``join`` makes the vector of them.

    Args:
        operators: one or more, see ``stack``.

    Source: SigPy, ``sigpy.linop.Vstack``; PyLops, ``pylops.VStack``. deepinv keeps a list of tensors.
    """

    def __init__(self, operators: Sequence[ForwardOperator]) -> None:
        first = operators[0]
        self._sizes = [math.prod(operator.data_shape) for operator in operators]
        super().__init__(operators, first.image_shape, (sum(self._sizes),), first.complex_images)

    def split(self, y: Tensor) -> tuple[Tensor, ...]:
        """Take measurements apart.

        Args:
            y: (B, N).

        Returns:
            (B, *data_shape) of every operator, in order.

        Raises:
            ValueError: if the axis after the batch is not N long.
        """
        self._check(y, self.data_shape, "measurement")
        pieces = zip(self.parts, y.split(self._sizes, dim=1), strict=True)
        return tuple(piece.reshape(len(y), *operator.data_shape) for operator, piece in pieces)

    def join(self, measurements: Sequence[Tensor]) -> Tensor:
        """Put measurements together: the inverse of ``split``.

        Args:
            measurements: (B, *data_shape) of every operator, in order.

        Returns:
            (B, N).

        Raises:
            ValueError: if there are not as many as operators, or one has not its operator's shape.
        """
        if len(measurements) != len(self.parts):
            raise ValueError(f"expected measurements of {len(self.parts)} operators, got {len(measurements)}")
        for operator, y in zip(self.parts, measurements, strict=True):
            self._check(y, operator.data_shape, "measurement")
        pieces = zip(measurements, self._sizes, strict=True)
        return torch.cat([y.reshape(len(y), size) for y, size in pieces], dim=1)

    def _forward(self, x: Tensor) -> Tensor:
        return self.join([apply(operator, x) for operator in self.parts])

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        pieces = zip(self.parts, self.split(v), strict=True)
        return reduce(torch.add, [pull_back(part, None if part.linear else x, piece) for part, piece in pieces])

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        pieces = zip(self.parts, self.split(v), strict=True)
        by_x, by_v = zip(*(second_order_of(part, x, piece, direction) for part, piece in pieces), strict=True)
        return reduce(torch.add, by_x), self.join(by_v)

    def _gramian(self, x: Tensor) -> Tensor:
        return reduce(torch.add, [apply_gramian(operator, x) for operator in self.parts])

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self.parts[0]._data_dtype(dtype)

    @property
    def expression(self) -> str:
        """The operators', in a list."""
        return f"stack([{', '.join(operator.expression for operator in self.parts)}])"


def stack(operators: Sequence[ForwardOperator]) -> Stack:
    """Make one operator of several that measure the same image.

    Args:
        operators: one or more, linear or not; their measurements may have different shapes.

    Returns:
        An operator that measures a vector (B, N) per image: all measurements, flattened and joined in order.

    Raises:
        ValueError: if there is none, or they differ in their images, or in whether measurements are complex.

    Examples:
        >>> import torch
        >>> from operators import GaussianBlur, Radon, stack
        >>> both = stack([GaussianBlur((16, 16), channels=1), Radon((16, 16), num_angles=4, num_detectors=23)])
        >>> y = both(torch.rand(2, 1, 16, 16))
        >>> y.shape, [part.shape for part in both.split(y)]
        (torch.Size([2, 348]), [torch.Size([2, 1, 16, 16]), torch.Size([2, 1, 4, 23])])
    """
    if not operators or not all(isinstance(operator, ForwardOperator) for operator in operators):
        raise ValueError(f"stack takes a list of one operator or more, got {operators!r}")
    for other in operators[1:]:
        require_same(operators[0], other, "image_shape", "complex_images", "complex_data")
    return Stack(operators)


def require_same(first: ForwardOperator, other: ForwardOperator, *properties: str) -> None:
    """Refuse two operators that differ where they may not.

    Raises:
        ValueError: if one of the properties differs; the message names it.
    """
    for name in properties:
        values = getattr(first, name), getattr(other, name)
        if values[0] != values[1]:
            what = name.replace("_", " ")
            shown = [kind(value) if isinstance(value, bool) else value for value in values]
            raise ValueError(f"{first.expression} and {other.expression} differ in {what}: {shown[0]} and {shown[1]}")
