"""One library's operator: both directions, its layout of measurements, its stored tables."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from operators import LinearOperator
from operators.tables import stored_bytes

Apply = Callable[[Tensor], Tensor]


def _same(batch: Tensor) -> Tensor:
    return batch


@dataclass(frozen=True)
class Peer:
    """A library's implementation of an operator; what moves between layouts stays out of the timed calls.

    Attributes:
        forward: images (B, *image_shape) -> measurements in the library's layout.
        adjoint: the other way round; some libraries scale it in their own way.
        to_peer: our measurements -> the library's layout, and its detectors.
        to_ours: the other way round.
        owners: modules whose tables the library keeps.
    """

    forward: Apply
    adjoint: Apply
    to_peer: Apply = _same
    to_ours: Apply = _same
    owners: tuple[nn.Module, ...] = ()

    @property
    def stored_bytes(self) -> int:
        """Bytes of all tables that are kept, each counted once."""
        return stored_bytes(*self.owners)


def ours(operator: LinearOperator) -> Peer:
    """Return our own operator in the same form; its matrix is built at its first use, which is here."""
    operator(torch.zeros(1, *operator.image_shape, device=operator.device))
    return Peer(operator, operator.adjoint, owners=(operator,))
