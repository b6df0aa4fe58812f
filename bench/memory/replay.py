"""Replays a trace at any batch size through the caching allocator, and judges it against a cap."""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from bench.memory.allocator import CachingAllocator, OutOfMemoryError
from bench.memory.calibration import Rules
from bench.memory.expandable import ExpandableAllocator
from bench.memory.statistics import Statistics
from bench.memory.trace import Trace
from bench.records import Probe

CONVOLUTION = '["aten.convolution'
"""Prefix of the calls of convolutions."""


def replay(
    trace: Trace,
    batch: int,
    rules: Rules,
    limit_bytes: int | None = None,
    *,
    expandable: bool = False,
    slower: bool = False,
) -> Statistics:
    """Replay a trace at a batch size and return the figures at its end.

    Args as for ``course``.

    Raises:
        OutOfMemoryError: if it does not fit.
    """
    events = course(trace, batch, rules, limit_bytes, expandable=expandable, slower=slower)
    ((_, allocator),) = deque(events, maxlen=1)
    return allocator.statistics()


def course(
    trace: Trace,
    batch: int,
    rules: Rules,
    limit_bytes: int | None = None,
    *,
    expandable: bool = False,
    slower: bool = False,
) -> Iterator[tuple[int, CachingAllocator]]:
    """Replay a trace at a batch size, event by event.

    Args:
        trace: two training steps.
        batch: images per step.
        rules: give the bytes of hidden requests.
        limit_bytes: the most that the allocator may reserve, without the context.
        expandable: whether segments grow, as with expandable_segments:True.
        slower: whether a convolution does without a workspace that does not fit, as torch tries the next engine.

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
            try:
                addresses[number] = allocator.allocate(size)
            except OutOfMemoryError:
                if not (slower and trace.requests[number].call.startswith(CONVOLUTION)):
                    raise
                continue
        elif number in addresses:
            allocator.release(addresses.pop(number))
        else:
            continue
        yield index, allocator


def fits(
    trace: Trace, batch: int, cap_bytes: int, rules: Rules, *, expandable: bool = False, slower: bool = False
) -> bool:
    """Say whether a batch trains in a process that may take ``cap_bytes`` in all; ``slower`` as for ``course``."""
    return _within(trace, batch, cap_bytes - rules.context_bytes, rules, expandable, slower) is not None


def judge(trace: Trace, batch: int, cap_bytes: int, rules: Rules, *, expandable: bool = False) -> Probe:
    """Return the verdict of ``fits`` and the batch's peak; where it does not fit, the peak without the cap."""
    fitting = _within(trace, batch, cap_bytes - rules.context_bytes, rules, expandable)
    figures = fitting or replay(trace, batch, rules, expandable=expandable)
    return Probe(
        batch=batch,
        peak_bytes=figures.peak_reserved + rules.context_bytes,
        fits=fitting is not None,
        requested_bytes=figures.peak_requested,
        allocated_bytes=figures.peak_allocated,
        retries=figures.retries,
    )


def _within(
    trace: Trace, batch: int, limit_bytes: int, rules: Rules, expandable: bool, slower: bool = False
) -> Statistics | None:
    """Return the figures of a replay under a limit; None where it exceeds the limit.

    Where segments grow, more may be mapped than requested: the reserved bytes must stay under the limit too.
    """
    with suppress(OutOfMemoryError):
        figures = replay(trace, batch, rules, limit_bytes, expandable=expandable, slower=slower)
        if figures.peak_reserved <= limit_bytes:
            return figures
    return None
