"""Follows a recorded GPU's allocator, decision by decision."""

from collections import deque
from collections.abc import Callable, Sequence

from bench.memory.allocator import CachingAllocator

Event = tuple[str, int, int]
"""Torch's action, address, bytes."""


class ReplayError(ValueError):
    """The replay decided otherwise than the recorded allocator."""


def recorded_segments(events: Sequence[Event]) -> Callable[[int], int]:
    """Return what places segments where they were recorded; it raises ``ReplayError`` at one of another size."""
    segments = deque((address, size) for action, address, size in events if action == "segment_alloc")

    def place(size: int) -> int:
        if not segments or segments[0][1] != size:
            raise ReplayError(f"a segment of {size} bytes, recorded: {segments[0][1] if segments else 'none'}")
        return segments.popleft()[0]

    return place


def follow(allocator: CachingAllocator, events: Sequence[Event]) -> None:
    """Make the recorded requests again; every block must come to lie where it lay.

    Raises:
        ReplayError: at the first decision that differs.
    """
    for action, address, size in events:
        if action == "alloc":
            if (found := allocator.allocate(size)) != address:
                raise ReplayError(f"{size} bytes went to {found}, recorded: {address}")
        elif action == "free_completed":
            allocator.release(address)
        elif action == "segment_free":
            allocator.release_segment(address)
