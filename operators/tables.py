"""Tables of an operator, built for the device and precision of its input, and how much memory tables take."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ComplexTables:
    """Makes tables when they are first needed, and keeps them.

    They are no buffers: a cast of the module that holds the operator would round those, or take the real part.

    Args:
        make: device -> tables, complex128.
    """

    def __init__(self, make: Callable[[torch.device], tuple[Tensor, ...]]) -> None:
        self._make = make
        self._made: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = {}

    def __call__(self, like: Tensor) -> tuple[Tensor, ...]:
        """Return the tables on the device and in the precision of ``like``, real or complex."""
        key = (like.device, like.dtype.to_complex())
        if key not in self._made:
            with torch.inference_mode(False):  # tables outlive this call, and may then be saved for a derivative
                self._made[key] = tuple(table.to(key[1]) for table in self._make(key[0]))
        return self._made[key]

    @property
    def made(self) -> tuple[Tensor, ...]:
        """Everything that is kept so far."""
        return tuple(table for tables in self._made.values() for table in tables)


def stored_bytes(*owners: nn.Module) -> int:
    """Return the bytes of all tables that modules keep: tensors, arrays and ``ComplexTables``, each counted once."""
    memory = {}
    for table in chain.from_iterable(map(_kept_by, owners)):
        if isinstance(table, np.ndarray):
            memory[table.ctypes.data] = table.nbytes
        elif isinstance(table, Tensor):
            for storage in map(Tensor.untyped_storage, _dense_parts(table)):
                memory[storage._cdata] = storage.nbytes()
    return sum(memory.values())


def _kept_by(owner: nn.Module) -> Iterator[Any]:
    yield from chain(owner.buffers(), owner.parameters())
    for module in owner.modules():
        yield from getattr(module, "_watched", tuple)()
        for value in vars(module).values():
            yield from value.made if isinstance(value, ComplexTables) else ()


def _dense_parts(table: Tensor) -> tuple[Tensor, ...]:
    if table.layout == torch.strided:
        return (table,)
    if table.layout == torch.sparse_coo:
        return table._indices(), table._values()
    by_row = table.layout in (torch.sparse_csr, torch.sparse_bsr)
    places = (table.crow_indices(), table.col_indices()) if by_row else (table.ccol_indices(), table.row_indices())
    return *places, table.values()
