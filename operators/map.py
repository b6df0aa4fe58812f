"""An operator as autograd and the compiler see it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Map(Protocol):
    """What autograd and the compiler use of an operator."""

    image_shape: tuple[int, ...]
    data_shape: tuple[int, ...]
    key: str

    @property
    def linear(self) -> bool:
        """Whether its derivatives need no image."""

    @property
    def learns(self) -> bool:
        """Whether its own tensors want gradients."""

    def _forward(self, x: Tensor) -> Tensor: ...

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor: ...

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]: ...

    def _gramian(self, x: Tensor) -> Tensor: ...

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype: ...

    def _image_dtype(self, dtype: torch.dtype) -> torch.dtype: ...


def physics(compute: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Compute without autocast, which is on in a backward pass too: physics is never done in half precision."""
    device = next(t.device.type for t in tensors if t is not None)
    with torch.autocast(device, enabled=False):
        return compute(*tensors)


def fold(
    size: int, dims: Sequence[int | None], tensors: Sequence[Tensor | None]
) -> tuple[list[Tensor | None], Callable[[Tensor], Tensor]]:
    """Make one batch of a mapped dimension and the batch, and say how to take its result apart again.

    Args:
        size: of the mapped dimension.
        dims: where it stands in each tensor, None where a tensor has none.
        tensors: (B, ...) beside that dimension, or None.

    Returns:
        Tensors (size * B, ...), and what turns such a tensor into (size, B, ...).
    """
    whole = [
        None if t is None else t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
        for t, dim in zip(tensors, dims, strict=False)
    ]
    batch = next(t.shape[1] for t in whole if t is not None)
    return [None if t is None else t.flatten(0, 1) for t in whole], lambda y: y.unflatten(0, (size, batch))
