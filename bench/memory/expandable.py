"""The caching allocator with expandable_segments:True: one growing segment per pool.

Source: c10/cuda/CUDACachingAllocator.cpp of torch 2.9 to 2.13 (``get_free_block``, ``alloc_block``,
``try_allocate_expandable_block``, ``map_block``, ``unmap_block``).
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from bench.memory.allocator import LARGE_SEGMENT, MIN_BLOCK, SMALL_SEGMENT, Block, CachingAllocator, segment_size

ADDRESS_SPACE = LARGE_SEGMENT * 2**20
"""Addresses of a pool's segment, a multiple of both granules; memory is mapped behind them as it is needed."""


@dataclass
class ExpandableAllocator(CachingAllocator):
    """Maps whole granules (2 MiB in the small pool, 20 MiB in the large one) behind a pool's one segment."""

    _gaps: dict[bool, list[Block]] = field(default_factory=lambda: {True: [], False: []})
    """Unmapped blocks by pool, by address."""

    def release_cached(self) -> None:
        """Unmap every granule that lies wholly inside a free block."""
        for small, free in self._free.items():
            for _, address in list(free):
                self._unmap(self._blocks[address], _granule(small))

    def _new_segment(self, size: int, small: bool) -> Block | None:
        # Torch asks for room for a segment of the usual size, whatever whole granules are mapped then.
        if not self._room_for(segment_size(size, small)):
            return None
        block = self._lowest_room(size, small)
        if not block.mapped:
            block = self._map(block, size)
        while block.size < size:
            gap = block.next
            assert gap is not None, "room was promised"
            assert not gap.mapped, "free neighbours are joined"
            block = self._map(gap, size - block.size)
        self._unlist(block)
        return block

    def _best_fit(self, size: int, small: bool) -> Block | None:
        free = self._free[small]
        index = bisect_left(free, (size, -1))
        if index == len(free):
            return None
        while index + 1 < len(free) and self._room_from(free[index + 1]) < self._room_from(free[index]):
            index += 1
        return self._blocks[free.pop(index)[1]]

    def _room_from(self, entry: tuple[int, int]) -> int:
        """Return the bytes that a free block can grow to: the last mapped one has all addresses behind it."""
        size, address = entry
        following = self._blocks[address].next
        return size if following is None or following.mapped else size + following.size

    def _lowest_room(self, size: int, small: bool) -> Block:
        """Return the first of the free or unmapped blocks that together have ``size`` bytes of addresses."""
        if not self._gaps[small]:
            self._open(small)
        for gap in self._gaps[small]:
            before = gap.previous
            first = before if before is not None and before.free else gap
            room, following = 0, first
            while room < size and following is not None and following.free:
                room += following.size
                following = following.next  # type: ignore[assignment]  # the loop ends at None
            if room >= size:
                return first
        raise AssertionError("a pool's addresses are used up")

    def _open(self, small: bool) -> None:
        gap = Block(ADDRESS_SPACE * (1 + small), ADDRESS_SPACE, small, mapped=False)
        self._blocks[gap.address] = gap
        self._add_gap(gap)
        self._account.segments += 1

    def _map(self, gap: Block, size: int) -> Block:
        """Put memory behind the first ``size`` bytes of a gap, in whole granules, and join it with free neighbours."""
        granule = _granule(gap.small)
        size = min(gap.size, -(-size // granule) * granule)
        self._gaps[gap.small].remove(gap)
        if size < gap.size:
            self._add_gap(self._cut(gap, size))
        gap.mapped = True
        self._reserve(gap.size)
        block = self._joined(gap)
        self._list(block)
        return block

    def _unmap(self, block: Block, granule: int) -> None:
        start = -(-block.address // granule) * granule
        end = (block.address + block.size) // granule * granule
        if end <= start:
            return
        self._unlist(block)
        if start > block.address:
            tail = self._cut(block, start - block.address)
            self._list(block)
            block = tail
        if end < block.address + block.size:
            self._list(self._cut(block, end - block.address))
        self._reserve(-block.size)
        block.mapped = False
        for neighbour in (block.previous, block.next):
            if neighbour is not None and not neighbour.mapped:
                self._gaps[block.small].remove(neighbour)
                block = self._join(block, neighbour)
        self._add_gap(block)

    def _add_gap(self, gap: Block) -> None:
        insort(self._gaps[gap.small], gap, key=lambda other: other.address)

    def _worth_splitting(self, block: Block, remainder: int) -> bool:
        return remainder >= MIN_BLOCK


def _granule(small: bool) -> int:
    return SMALL_SEGMENT if small else LARGE_SEGMENT
