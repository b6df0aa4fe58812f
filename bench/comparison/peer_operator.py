"""One library's operator: both directions, its layout of measurements, its stored tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from operators import LinearOperator
from operators.tables import ComplexTables

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
        storages = {table.untyped_storage().data_ptr(): table.untyped_storage() for table in self._tables()}
        return sum(storage.nbytes() for storage in storages.values())

    def _tables(self) -> Iterator[Tensor]:
        for owner in self.owners:
            yield from chain(owner.buffers(), owner.parameters())
            for module in owner.modules():
                for value in vars(module).values():
                    yield from value.made if isinstance(value, ComplexTables) else ()


def ours(operator: LinearOperator) -> Peer:
    """Return our own operator in the same form; its matrix is built at its first use, which is here."""
    operator(torch.zeros(1, *operator.image_shape, device=operator.device))
    return Peer(operator, operator.adjoint, owners=(operator,))
