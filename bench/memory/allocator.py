"""Replays allocations through the rules of PyTorch's CUDA caching allocator.

Source: c10/cuda/CUDACachingAllocator.cpp of torch 2.9 to 2.13, default settings (one stream, no garbage collection
threshold); ``expandable.py`` has the setting expandable_segments:True.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from bench.memory.statistics import Statistics
from bench.records import MIB

MIN_BLOCK = 512
SMALL_LIMIT = MIB
"""Requests up to this size come from the small pool."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
LARGE_LIMIT = 10 * MIB
"""Requests from this size on get a segment of their own size, rounded up to 2 MiB."""


class OutOfMemoryError(Exception):
    """No segment fits under the limit, even after every unused one was released."""


@dataclass(eq=False)
class Block:
    """A piece of a segment; neighbours are in the same segment.

    Attributes:
        address: first byte.
        size: bytes.
        small: whether it belongs to the small pool.
        free: whether it is unused.
        mapped: whether memory backs its addresses; always true outside expandable segments.
        requested: bytes of the request.
    """

    address: int
    size: int
    small: bool
    free: bool = True
    mapped: bool = True
    requested: int = 0
    previous: "Block | None" = None
    next: "Block | None" = None

    @property
    def whole_segment(self) -> bool:
        """Whether its segment is not split."""
        return self.previous is None and self.next is None


@dataclass
class CachingAllocator:
    """The caching allocator's decisions, without any memory.

    Attributes:
        limit_bytes: the most that may be reserved, as ``set_per_process_memory_fraction`` sets it; None for no limit.
        place_segment: bytes of a new segment -> its address; None places them one after the other.
    """

    limit_bytes: int | None = None
    place_segment: Callable[[int], int] | None = None
    _account: Statistics = field(default_factory=Statistics)
    _next_address: int = 0
    # Free blocks by pool, in the allocator's order: size, then address. The key finds the block.
    _free: dict[bool, list[tuple[int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _blocks: dict[int, Block] = field(default_factory=dict)

    def allocate(self, size_bytes: int) -> int:
        """Take a block and return its address.

        Args:
            size_bytes: requested bytes, more than zero.

        Raises:
            OutOfMemoryError: if the limit leaves no room even after a retry.
        """
        size = -(-size_bytes // MIN_BLOCK) * MIN_BLOCK
        small = size <= SMALL_LIMIT
        block = self._best_fit(size, small) or self._with_retry(size, small)
        self._split(block, size)
        block.free, block.requested = False, size_bytes
        # Comparisons rather than max(): a search counts millions of times.
        account = self._account
        account.requested += size_bytes
        account.allocated += block.size
        if account.requested > account.peak_requested:
            account.peak_requested = account.requested
        if account.allocated > account.peak_allocated:
            account.peak_allocated = account.allocated
        return block.address

    def release(self, address: int) -> None:
        """Give a block back to the cache and join it with free neighbours."""
        block = self._blocks[address]
        assert not block.free, f"block {address} is released twice"
        self._account.requested -= block.requested
        self._account.allocated -= block.size
        block.free = True
        self._list(self._joined(block))

    def release_cached(self) -> None:
        """Return every unused segment to the device, as ``torch.cuda.empty_cache`` does."""
        for free in self._free.values():
            for _, address in list(free):
                if self._blocks[address].whole_segment:
                    self.release_segment(address)

    def release_segment(self, address: int) -> None:
        """Give one segment back to the device; it must be whole and free."""
        block = self._blocks.pop(address)
        assert block.free, f"segment {address} is in use"
        assert block.whole_segment, f"segment {address} is in use in part"
        self._unlist(block)
        self._account.segments -= 1
        self._reserve(-block.size)

    def statistics(self) -> Statistics:
        """Return the current figures and the peaks so far."""
        split = sum(block.size for block in self.blocks() if block.free and block.mapped and not block.whole_segment)
        return replace(self._account, inactive_split=split)

    def blocks(self) -> Iterator[Block]:
        """Yield every block, free ones included, in no order."""
        yield from self._blocks.values()

    def _with_retry(self, size: int, small: bool) -> Block:
        block = self._new_segment(size, small)
        if block is None:
            self._account.retries += 1
            self.release_cached()
            block = self._new_segment(size, small)
        if block is None:
            raise OutOfMemoryError(
                f"{size} bytes requested with {self._account.reserved} of {self.limit_bytes} reserved"
            )
        return block

    def _new_segment(self, size: int, small: bool) -> Block | None:
        """Return a free block of a new segment, None where the limit forbids one."""
        bytes_ = segment_size(size, small)
        if not self._room_for(bytes_):
            return None
        block = Block(self._place(bytes_), bytes_, small)
        self._blocks[block.address] = block
        self._account.segments += 1
        self._reserve(bytes_)
        return block

    def _place(self, size: int) -> int:
        if self.place_segment is not None:
            return self.place_segment(size)
        address = self._next_address
        self._next_address += size + SMALL_SEGMENT  # a gap: segments never touch
        return address

    def _room_for(self, size: int) -> bool:
        return self.limit_bytes is None or self._account.reserved + size <= self.limit_bytes

    def _reserve(self, change: int) -> None:
        account = self._account
        account.reserved += change
        account.peak_reserved = max(account.peak_reserved, account.reserved)

    def _best_fit(self, size: int, small: bool) -> Block | None:
        free = self._free[small]
        index = bisect_left(free, (size, -1))
        return None if index == len(free) else self._blocks[free.pop(index)[1]]

    def _split(self, block: Block, size: int) -> None:
        if self._worth_splitting(block, block.size - size):
            self._list(self._cut(block, size))

    def _cut(self, block: Block, size: int) -> Block:
        """Cut a block after ``size`` bytes and return the rest, free and in no list."""
        rest = Block(block.address + size, block.size - size, block.small, mapped=block.mapped)
        rest.previous, rest.next = block, block.next
        if block.next is not None:
            block.next.previous = rest
        block.next, block.size = rest, size
        self._blocks[rest.address] = rest
        return rest

    def _worth_splitting(self, block: Block, remainder: int) -> bool:
        return remainder >= MIN_BLOCK if block.small else remainder > SMALL_LIMIT

    def _joined(self, block: Block) -> Block:
        """Join a free block with its free neighbours, which leave the pool's list."""
        for neighbour in (block.previous, block.next):
            if neighbour is not None and neighbour.free and neighbour.mapped == block.mapped:
                self._unlist(neighbour)
                block = self._join(block, neighbour)
        return block

    def _list(self, block: Block) -> None:
        insort(self._free[block.small], (block.size, block.address))

    def _unlist(self, block: Block) -> None:
        free = self._free[block.small]
        del free[bisect_left(free, (block.size, block.address))]

    def _join(self, one: Block, other: Block) -> Block:
        first, second = (one, other) if one.address < other.address else (other, one)
        first.size += second.size
        first.next = second.next
        if second.next is not None:
            second.next.previous = first
        del self._blocks[second.address]
        return first


def segment_size(size: int, small: bool) -> int:
    """Return the bytes of a new segment for a request of ``size`` rounded bytes."""
    if small:
        return SMALL_SEGMENT
    if size < LARGE_LIMIT:
        return LARGE_SEGMENT
    return -(-size // SMALL_SEGMENT) * SMALL_SEGMENT
