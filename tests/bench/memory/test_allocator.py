"""The caching allocator's rules: segments worked out by hand, and invariants under random sequences."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.memory.allocator import LARGE_SEGMENT, CachingAllocator, OutOfMemoryError
from bench.memory.expandable import ExpandableAllocator
from bench.records import KIB, MIB


def test_small_requests_share_a_two_mebibyte_segment():
    allocator = CachingAllocator()
    addresses = [allocator.allocate(100 * KIB) for _ in range(20)]
    assert allocator.statistics().reserved == 2 * MIB
    allocator.allocate(100 * KIB)  # 21 * 100 KiB exceed 2 MiB
    assert allocator.statistics().reserved == 4 * MIB
    assert [b - a for a, b in pairwise(addresses)] == [100 * KIB] * 19


def test_requests_round_up_to_512_bytes():
    allocator = CachingAllocator()
    allocator.allocate(1)
    assert allocator.statistics().allocated == 512
    allocator.allocate(513)
    assert allocator.statistics().allocated == 512 + 1024


@pytest.mark.parametrize(
    ("request_bytes", "segment_bytes", "allocated_bytes"),
    [
        (MIB, 2 * MIB, MIB),
        (MIB + 1, 20 * MIB, MIB + 512),
        (8 * MIB, 20 * MIB, 8 * MIB),
        (10 * MIB - 512, 20 * MIB, 10 * MIB - 512),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (11 * MIB, 12 * MIB, 12 * MIB),  # a remainder of 1 MiB is not split off
        (21 * MIB + 512, 22 * MIB, 22 * MIB),
    ],
)
def test_segment_sizes(request_bytes, segment_bytes, allocated_bytes):
    allocator = CachingAllocator()
    allocator.allocate(request_bytes)
    assert allocator.statistics().reserved == segment_bytes
    assert allocator.statistics().allocated == allocated_bytes


def test_two_tensors_of_eight_mebibytes_share_a_segment_and_a_third_does_not():
    allocator = CachingAllocator()
    for _ in range(2):
        allocator.allocate(8 * MIB)
    assert allocator.statistics().reserved == 20 * MIB
    allocator.allocate(8 * MIB)
    assert allocator.statistics().reserved == 40 * MIB


def test_best_fit_takes_the_smallest_free_block_then_the_lowest_address():
    allocator = CachingAllocator()
    big, middle, other = (allocator.allocate(size * MIB) for size in (30, 14, 14))
    for address in (big, other, middle):
        allocator.release(address)
    assert allocator.allocate(13 * MIB + 512) == middle
    assert allocator.allocate(13 * MIB + 512) == other
    assert allocator.allocate(13 * MIB + 512) == big
    assert allocator.statistics().reserved == 58 * MIB


def test_neighbours_join_again():
    allocator = CachingAllocator()
    addresses = [allocator.allocate(4 * MIB) for _ in range(5)]
    assert allocator.statistics().reserved == 20 * MIB
    for address in (addresses[1], addresses[3], addresses[2], addresses[0], addresses[4]):
        allocator.release(address)
    assert allocator.allocate(20 * MIB) == addresses[0]
    assert allocator.statistics().reserved == 20 * MIB


def test_unused_segments_are_released_before_giving_up():
    allocator = CachingAllocator(limit_bytes=40 * MIB)
    first = allocator.allocate(30 * MIB)
    allocator.release(first)
    allocator.allocate(40 * MIB)
    assert allocator.statistics().retries == 1
    assert allocator.statistics().reserved == 40 * MIB
    with pytest.raises(OutOfMemoryError):
        allocator.allocate(1)


def test_a_partly_used_segment_is_not_released():
    allocator = CachingAllocator(limit_bytes=40 * MIB)
    allocator.allocate(2 * MIB)  # keeps its 20 MiB segment alive
    with pytest.raises(OutOfMemoryError):
        allocator.allocate(30 * MIB)
    assert allocator.statistics().reserved == 20 * MIB


ACTIONS = st.lists(st.tuples(st.booleans(), st.integers(1, 40 * MIB), st.integers(0, 10**6)), max_size=120)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([CachingAllocator, ExpandableAllocator]),
    actions=ACTIONS,
    limit=st.one_of(st.none(), st.integers(20 * MIB, 300 * MIB)),
)
def test_invariants_hold_under_random_sequences(kind, actions, limit):
    allocator = kind(limit)
    live: dict[int, int] = {}
    for allocate, size, pick in actions:
        if allocate or not live:
            try:
                address = allocator.allocate(size)
            except OutOfMemoryError:
                continue
            live[address] = size
        else:
            address = sorted(live)[pick % len(live)]
            allocator.release(address)
            del live[address]
        spans = sorted((start, start + size) for start, size in live.items())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "overlap"
        assert sum(live.values()) == allocator.statistics().requested
        assert sum(live.values()) <= allocator.statistics().allocated <= allocator.statistics().reserved
        granule = LARGE_SEGMENT if kind is ExpandableAllocator else 0  # mapped whole, though less is asked room for
        assert limit is None or allocator.statistics().peak_reserved <= limit + granule
    for address in live:
        allocator.release(address)
    assert allocator.statistics().allocated == 0
    allocator.release_cached()
    assert allocator.statistics().reserved == 0, "a segment was lost"


def test_an_expandable_segment_grows_by_twenty_mebibytes_and_wastes_no_tail():
    allocator = ExpandableAllocator()
    for _ in range(5):
        allocator.allocate(8 * MIB)  # fixed segments hold two each: 60 MiB
    assert allocator.statistics().reserved == 40 * MIB
    assert allocator.statistics().segments == 1


def test_the_last_block_of_an_expandable_segment_is_as_large_as_it_can_grow():
    allocator = ExpandableAllocator()
    first, _, last = (allocator.allocate(size * MIB) for size in (30, 2, 28))
    allocator.release(first)
    allocator.release(last)  # 28 MiB of 60 mapped ones, and all addresses behind them
    assert allocator.allocate(25 * MIB) == first  # although the last block is nearer in size


def test_room_is_asked_for_a_usual_segment_and_not_for_whole_granules():
    allocator = ExpandableAllocator(limit_bytes=62 * MIB)
    allocator.allocate(40 * MIB)
    allocator.allocate(21 * MIB)  # 22 MiB are asked for, though 40 are mapped
    assert allocator.statistics().reserved == 80 * MIB
    with pytest.raises(OutOfMemoryError):
        allocator.allocate(20 * MIB)


def test_an_expandable_segment_gives_free_granules_back_and_maps_them_again():
    allocator = ExpandableAllocator()
    first, second, third = (allocator.allocate(size * MIB) for size in (40, 20, 20))
    allocator.release(first)
    allocator.release_cached()
    assert allocator.statistics().reserved == 40 * MIB
    assert allocator.allocate(30 * MIB) == first
    assert allocator.statistics().reserved == 80 * MIB
    for address in (first, second, third):
        allocator.release(address)
    allocator.release_cached()
    assert allocator.statistics().reserved == 0


def test_what_is_mapped_again_joins_the_free_block_behind_it():
    allocator = ExpandableAllocator()
    first, _ = allocator.allocate(55 * MIB), allocator.allocate(5 * MIB)
    allocator.release(first)
    allocator.release_cached()  # 40 MiB are unmapped, 15 free ones are mapped behind them
    assert allocator.allocate(35 * MIB) == first
    assert allocator.allocate(18 * MIB) == first + 35 * MIB  # the 5 left over and the 15 behind are one block
    assert allocator.statistics().reserved == 60 * MIB
