"""Replays allocations through the rules of PyTorch's CUDA caching allocator.

Source: c10/cuda/CUDACachingAllocator.cpp of torch 2.9 to 2.13, default settings (one stream, no expandable
segments, no garbage collection threshold).
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

KIB, MIB, GIB = 2**10, 2**20, 2**30
MIN_BLOCK = 512
SMALL_LIMIT = MIB
"""Requests up to this size come from the small pool."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
LARGE_LIMIT = 10 * MIB
"""Requests from this size on get a segment of their own size, rounded up to 2 MiB."""


class OutOfMemoryError(Exception):
    """No segment can be had under the limit, not even after every unused one was released."""


@dataclass(eq=False)
class _Block:
    """A piece of a segment; neighbours are in the same segment."""

    address: int
    size: int
    small: bool
    free: bool = False
    previous: "_Block | None" = None
    next: "_Block | None" = None

    @property
    def whole_segment(self) -> bool:
        return self.previous is None and self.next is None


@dataclass
class CachingAllocator:
    """The caching allocator's decisions, without any memory.

    Attributes:
        limit_bytes: most that may be reserved, as ``set_per_process_memory_fraction`` sets it; None for none.
        reserved_bytes: segments held now.
        allocated_bytes: blocks in use now, rounding and unsplit remainders included.
        peak_reserved_bytes: most that was reserved at once.
        peak_allocated_bytes: most that was in use at once.
        retries: how often all unused segments were released to make room.
    """

    limit_bytes: int | None = None
    reserved_bytes: int = 0
    allocated_bytes: int = 0
    peak_reserved_bytes: int = 0
    peak_allocated_bytes: int = 0
    retries: int = 0
    _next_address: int = 0
    # Free blocks by pool, in the allocator's order: size, then address. The key finds the block.
    _free: dict[bool, list[tuple[int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _blocks: dict[int, _Block] = field(default_factory=dict)

    def allocate(self, size_bytes: int) -> int:
        """Take a block and return its address.

        Args:
            size_bytes: requested bytes, more than zero.

        Raises:
            OutOfMemoryError: if the limit leaves no room even after a retry.
        """
        size = -(-size_bytes // MIN_BLOCK) * MIN_BLOCK
        small = size <= SMALL_LIMIT
        block = self._best_fit(size, small) or self._new_segment(size, small)
        self._split(block, size)
        block.free = False
        self.allocated_bytes += block.size
        self.peak_allocated_bytes = max(self.peak_allocated_bytes, self.allocated_bytes)
        return block.address

    def release(self, address: int) -> None:
        """Give a block back to the cache and join it with free neighbours."""
        block = self._blocks[address]
        assert not block.free, f"block {address} is released twice"
        self.allocated_bytes -= block.size
        block.free = True
        for neighbour in (block.previous, block.next):
            if neighbour is not None and neighbour.free:
                self._unlist(neighbour)
                block = self._join(block, neighbour)
        insort(self._free[block.small], (block.size, block.address))

    def _best_fit(self, size: int, small: bool) -> _Block | None:
        free = self._free[small]
        index = bisect_left(free, (size, -1))
        if index == len(free):
            return None
        _, address = free.pop(index)
        return self._blocks[address]

    def _new_segment(self, size: int, small: bool) -> _Block:
        segment = _segment_size(size, small)
        if self.limit_bytes is not None and self.reserved_bytes + segment > self.limit_bytes:
            self.retries += 1
            self._release_cached()
            if self.reserved_bytes + segment > self.limit_bytes:
                raise OutOfMemoryError(
                    f"{size} bytes requested with {self.reserved_bytes} of {self.limit_bytes} reserved"
                )
        block = _Block(self._next_address, segment, small, free=True)
        self._next_address += segment + SMALL_SEGMENT  # a gap: segments never touch
        self._blocks[block.address] = block
        self.reserved_bytes += segment
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return block

    def _release_cached(self) -> None:
        for free in self._free.values():
            for entry in list(free):
                block = self._blocks[entry[1]]
                if block.whole_segment:
                    free.remove(entry)
                    del self._blocks[block.address]
                    self.reserved_bytes -= block.size

    def _split(self, block: _Block, size: int) -> None:
        remainder = block.size - size
        if remainder < MIN_BLOCK if block.small else remainder <= SMALL_LIMIT:
            return
        rest = _Block(block.address + size, remainder, block.small, free=True, previous=block, next=block.next)
        if block.next is not None:
            block.next.previous = rest
        block.next, block.size = rest, size
        self._blocks[rest.address] = rest
        insort(self._free[rest.small], (rest.size, rest.address))

    def _unlist(self, block: _Block) -> None:
        free = self._free[block.small]
        del free[bisect_left(free, (block.size, block.address))]

    def _join(self, one: _Block, other: _Block) -> _Block:
        first, second = (one, other) if one.address < other.address else (other, one)
        first.size += second.size
        first.next = second.next
        if second.next is not None:
            second.next.previous = first
        del self._blocks[second.address]
        first.free = True
        return first


def _segment_size(size: int, small: bool) -> int:
    if small:
        return SMALL_SEGMENT
    if size < LARGE_LIMIT:
        return LARGE_SEGMENT
    return -(-size // SMALL_SEGMENT) * SMALL_SEGMENT
