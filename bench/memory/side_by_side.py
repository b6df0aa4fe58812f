"""Capped processes side by side on one card, as many as fit."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """A card's memory, lent by the cap: what is out at once never exceeds the whole.

    Args:
        total_bytes: what there is to lend.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.free_bytes = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def lend(self, size_bytes: int) -> Iterator[None]:
        """Wait until there is room for so many bytes, and hold them for as long as the block runs.

        Raises:
            ValueError: if there never will be.
        """
        if size_bytes > self.total_bytes:
            raise ValueError(
                f"{size_bytes / 2**30:.1f} GiB do not fit on a card with {self.total_bytes / 2**30:.1f} GiB free"
            )
        with self._changed:
            self._changed.wait_for(lambda: size_bytes <= self.free_bytes)
            self.free_bytes -= size_bytes
        try:
            yield
        finally:
            with self._changed:
                self.free_bytes += size_bytes
                self._changed.notify_all()
