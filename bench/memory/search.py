"""The largest batch, one or even, that trains under a cap: the search, whoever tries the batches."""

from collections.abc import Callable

from bench.values import Probe

Try = Callable[[int], Probe]
"""Runs or simulates a training step at a batch size."""


def largest_batch(attempt: Try, guess: int = 2) -> tuple[int, tuple[Probe, ...]]:
    """Search 0, 1, 2, 4, 6, ... for the largest batch that fits while the next one does not.

    Args:
        attempt: tries one batch; assumed monotone, and both sides of the answer are always tried.
        guess: where to start; a good one makes two probes enough.

    Returns:
        The batch, 0 where one image does not fit, and every probe, by batch.
    """
    probes: dict[int, Probe] = {}

    def fits(batch: int) -> bool:
        if batch not in probes:
            probes[batch] = attempt(batch)
        return probes[batch].fits

    batch = largest_fitting(fits, guess)
    return batch, tuple(probes[key] for key in sorted(probes))


def largest_fitting(fits: Callable[[int], bool], guess: int) -> int:
    """Search like ``largest_batch`` where only the verdict on a batch is asked for, and return the batch alone."""
    index = largest_index(lambda index: fits(_batch_at(index)), guess // 2)
    return 0 if index < 0 else _batch_at(index)


def _batch_at(index: int) -> int:
    return max(2 * index, 1)


def largest_index(fits: Callable[[int], bool], guess: int) -> int:
    """Search 0, 1, 2, ... for the largest index that fits; doubling steps away from a guess, then bisection.

    Args:
        fits: monotone: true up to the answer, false beyond it.
        guess: where to start.

    Returns:
        The index, or -1 where not even 0 fits. Both it and the next one were asked for.
    """
    low = high = max(guess, 0)
    step = 1
    if fits(low):
        while fits(high := low + step):
            low, step = high, 2 * step
    else:
        while (low := max(high - step, -1)) >= 0 and not fits(low):
            high, step = low, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def next_batch(batch: int) -> int:
    """Return the candidate after a batch: 0, 1, 2, 4, 6, ..."""
    return batch + 1 if batch < 2 else batch + 2
