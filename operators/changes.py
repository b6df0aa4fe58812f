"""Notices that what an operator wraps has changed, so that what was computed of it is computed again."""

import zlib
from collections.abc import Hashable, Iterable
from typing import Any
from weakref import ref

import numpy as np
from torch import Tensor


class Snapshot:
    """Values as they are now: tensors, arrays, numbers and strings.

    A tensor has changed if it is another one, lies elsewhere in memory or was written to in place, which PyTorch
    counts; only writing through ``tensor.data`` goes unseen. Of an array all bytes are summed up, which takes
    less than its product with a vector.

    Args:
        values: what is looked at; no tensor is kept alive.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self._seen = [(_reference(value), _state(value)) for value in values]

    def holds(self, values: Iterable[Any]) -> bool:
        """Return whether these are the same values, unchanged."""
        present = list(values)
        return len(present) == len(self._seen) and all(
            (reference is None or reference() is value) and state == _state(value)
            for (reference, state), value in zip(self._seen, present, strict=True)
        )

    def __reduce__(self) -> tuple[type["Snapshot"], tuple[tuple[None]]]:
        """A copy sees other tensors: it holds for nothing."""
        return Snapshot, ((None,),) if self._seen else ((),)  # type: ignore[return-value]


def _reference(value: Any) -> "ref[Tensor] | None":
    return ref(value) if isinstance(value, Tensor) else None


def _state(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return value.data_ptr(), None if value.is_inference() else value._version
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data)
    return type(value).__name__, value
