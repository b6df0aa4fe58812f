"""Replays a trace at any batch size through the caching allocator, and judges it against a cap."""

from collections import deque
from collections.abc import Iterator

from bench.memory.allocator import CachingAllocator, OutOfMemoryError, Statistics
from bench.memory.calibration import Rules
from bench.memory.expandable import ExpandableAllocator
from bench.memory.trace import Trace
from bench.values import Probe


def replay(
    trace: Trace, batch: int, rules: Rules, limit_bytes: int | None = None, *, expandable: bool = False
) -> Statistics:
    """Replay a trace at a batch size and return the figures at its end.

    Args as for ``course``.

    Raises:
        OutOfMemoryError: if it does not fit.
    """
    events = course(trace, batch, rules, limit_bytes, expandable=expandable)
    ((_, allocator),) = deque(events, maxlen=1)
    return allocator.statistics()


def course(
    trace: Trace, batch: int, rules: Rules, limit_bytes: int | None = None, *, expandable: bool = False
) -> Iterator[tuple[int, CachingAllocator]]:
    """Replay a trace at a batch size, event by event.

    Args:
        trace: two training steps.
        batch: images a step.
        rules: what hidden requests take.
        limit_bytes: most that the allocator may reserve, the context not counted.
        expandable: whether segments grow, as with expandable_segments:True.

    Yields:
        The index of every event that happens, and the allocator after it.

    Raises:
        OutOfMemoryError: if it does not fit.
    """
    allocator = (ExpandableAllocator if expandable else CachingAllocator)(limit_bytes)
    sizes = [rules.size(request, batch) for request in trace.requests]
    addresses: dict[int, int] = {}
    for index, (number, birth) in enumerate(trace.events):
        size = sizes[number]
        if not size:
            continue
        if birth:
            addresses[number] = allocator.allocate(size)
        else:
            allocator.release(addresses.pop(number))
        yield index, allocator


def judge(trace: Trace, batch: int, cap_bytes: int, rules: Rules, *, expandable: bool = False) -> Probe:
    """Say whether a batch trains in a process that may take ``cap_bytes`` in all, and what it takes."""
    fits, figures = _run(trace, batch, cap_bytes, rules, expandable)
    return Probe(
        batch=batch,
        peak_bytes=figures.peak_reserved + rules.context_bytes,
        fits=fits,
        requested_bytes=figures.peak_requested,
        allocated_bytes=figures.peak_allocated,
        retries=figures.retries,
    )


def _run(trace: Trace, batch: int, cap_bytes: int, rules: Rules, expandable: bool) -> tuple[bool, Statistics]:
    """Return whether it fits, and the figures; those of a run without a cap where it does not."""
    limit = cap_bytes - rules.context_bytes
    free = replay(trace, batch, rules, expandable=expandable)
    if free.peak_reserved <= limit:
        return True, free  # the cap would never have been felt
    if free.peak_requested > limit:
        return False, free  # no order of segments makes room for that
    try:
        return True, replay(trace, batch, rules, limit, expandable=expandable)
    except OutOfMemoryError:
        return False, free
