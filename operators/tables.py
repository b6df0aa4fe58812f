"""Tables of an operator, built for the device and precision of its input."""

from collections.abc import Callable

import torch
from torch import Tensor


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
