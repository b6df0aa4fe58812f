"""Records allocation and release of every storage of an operation, on real or fake tensors."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class StorageRecorder(TorchDispatchMode):
    """Records the allocation of every storage that an operation returns, and its release.

    It does not see what an operation allocates and releases inside its kernel. Use it as a context.

    Attributes:
        sizes: bytes of every storage, in order of allocation.
        events: (number of the storage, whether it is allocated; else it is released), in order.
        live_bytes: bytes of the storages that are alive now.
        peak_bytes: the largest ``live_bytes`` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.events: list[tuple[int, bool]] = []
        self.live_bytes = 0
        self.peak_bytes = 0
        self._alive: dict[int, int] = {}
        self._stopped = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and torch's guard against it costs time at every operation

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and record the storages of its results."""
        result = self._run(func, args, kwargs or {})
        if not isinstance(result, Tensor | tuple | list):
            return result
        given = (*args, *kwargs.values()) if kwargs else args
        known = {tensor.untyped_storage()._cdata for tensor in tensors_in(given)}
        for tensor in tensors_in((result,)):
            if tensor.untyped_storage()._cdata not in known:
                self._note(tensor.untyped_storage())
        return result

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return func(*args, **kwargs)

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._alive or storage.nbytes() == 0:
            return
        number = len(self.sizes)
        self._alive[key] = number
        self.sizes.append(storage.nbytes())
        self.events.append((number, True))
        self.live_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._died, key, number).atexit = False

    def stop(self) -> None:
        """Record no further release: what is released after a step is no part of it."""
        self._stopped = True

    def _died(self, key: int, number: int) -> None:
        if self._stopped:
            return
        del self._alive[key]
        self.events.append((number, False))
        self.live_bytes -= self.sizes[number]


def tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield the tensors among an operation's arguments or results, in lists and tuples too.

    An operation's schema has no other containers. Torch's ``tree_leaves`` handles more, and takes a tenth of a trace's
    time.
    """
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)
