"""Published histories of real GPUs' allocators, and their replay, address by address."""

import gzip
import zlib
from bisect import bisect_right
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.memory.allocator import MIN_BLOCK, SMALL_LIMIT, Block, CachingAllocator
from bench.memory.recorded import ReplayError, follow, recorded_segments

MOST_BYTES = 256 * 2**20
"""Of a history's text; the largest published one has under one megabyte."""

Extent = tuple[int, int]
"""Address and bytes."""


class PublishedHistory(BaseModel):
    """The events of an allocator from some point of a run; gzipped JSON, of one stream."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    start_segments: tuple[tuple[int, int, bool], ...] = Field(description="(address, bytes, small pool) at the start")
    start_live: tuple[Extent, ...] = Field(description="(address, requested bytes) in use at the start")
    events: tuple[tuple[str, int, int], ...] = Field(description="(torch's action, address, bytes)")
    final_blocks: tuple[tuple[int, int, bool], ...] = Field(description="(address, bytes, in use) at the end")
    reserved_bytes: int = Field(description="at the end")

    @classmethod
    def load(cls, path: Path) -> "PublishedHistory":
        """Read a history.

        Raises:
            ValueError: if the file holds no history; the message is one line that names it.
        """
        try:
            with gzip.open(path) as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise OSError(f"it inflates to more than {MOST_BYTES:,} bytes")
            return cls.model_validate_json(text)
        except (OSError, EOFError, ValidationError, zlib.error) as error:
            raise ValueError(f"{path}: not a history: {' '.join(str(error).split())[:200]}") from error


def replay_published(history: PublishedHistory) -> CachingAllocator:
    """Repeat the recorded requests, from the recorded start.

    Returns:
        The allocator at the end, every block of which lies where the recorded one lay.

    Raises:
        ReplayError: at the first decision that differs, or where the end does.
    """
    allocator = StartedAllocator(place_segment=recorded_segments(history.events))
    allocator.start(history)
    follow(allocator, history.events)
    blocks = sorted((block.address, block.size, not block.free) for block in allocator.blocks())
    reserved = allocator.statistics().reserved
    if blocks != sorted(history.final_blocks) or reserved != history.reserved_bytes:
        raise ReplayError(f"it ends with {reserved} bytes in {len(blocks)} blocks, recorded: {history.reserved_bytes}")
    return allocator


class StartedAllocator(CachingAllocator):
    """An allocator that begins in the state in which a recording begins."""

    def start(self, history: PublishedHistory) -> None:
        """Lay out the segments and the blocks that are in use.

        An unsplit block keeps its remainder: its size is the request in steps of 512 bytes, and, in the
        large pool, a gap of up to 1 MiB behind it.
        """
        live = sorted(history.start_live)
        addresses = [address for address, _ in live]
        for address, size, small in sorted(history.start_segments):
            self._account.segments += 1
            self._reserve(size)
            first, last = bisect_right(addresses, address - 1), bisect_right(addresses, address + size - 1)
            self._lay_out(address, size, small, live[first:last])

    def _lay_out(self, address: int, size: int, small: bool, live: list[Extent]) -> None:
        rest = Block(address, size, small)
        self._blocks[address] = rest
        for place, (start, requested) in enumerate(live):
            if start > rest.address:
                gap, rest = rest, self._cut(rest, start - rest.address)
                self._list(gap)
            end = live[place + 1][0] if place + 1 < len(live) else address + size
            taken = -(-requested // MIN_BLOCK) * MIN_BLOCK
            left = end - start - taken
            block = rest
            if left >= MIN_BLOCK if small else left > SMALL_LIMIT:
                rest = self._cut(block, taken)
            else:
                taken = end - start
                rest = self._cut(block, taken) if start + taken < address + size else block
            block.free, block.requested = False, requested
            self._account.requested += requested
            self._account.allocated += block.size
        if rest.free:
            self._list(rest)
