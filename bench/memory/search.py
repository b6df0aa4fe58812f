"""The search for the largest batch that fits, independent of how a batch is tried."""

from collections.abc import Callable
from typing import NamedTuple

from bench.records import Probe

Try = Callable[[int], Probe]
"""Runs or simulates a training step at a batch size."""


class Candidates(NamedTuple):
    """The batches that a search considers: 1 and every multiple of ``step``."""

    step: int

    def at(self, index: int) -> int:
        """Return the candidate at an index, from 0."""
        return max(self.step * index, 1) if self.step > 1 else index + 1

    def place(self, batch: int) -> int:
        """Return the index of the largest candidate up to a batch."""
        return batch // self.step if self.step > 1 else max(batch - 1, 0)


EVEN, ANY = Candidates(2), Candidates(1)
"""1, 2, 4, 6, ... and 1, 2, 3, ..."""


def largest_batch(attempt: Try, guess: int = 2, candidates: Candidates = EVEN) -> tuple[int, tuple[Probe, ...]]:
    """Search for the largest batch that fits while the next one does not.

    Args:
        attempt: tries one batch; assumed monotone, and both sides of the answer are always tried.
        guess: where to start; a good one makes two probes enough.
        candidates: the possible answers, besides 0.

    Returns:
        The batch, 0 where one image does not fit, and every probe, in order of batch.
    """
    probes: dict[int, Probe] = {}

    def fits(batch: int) -> bool:
        if batch not in probes:
            probes[batch] = attempt(batch)
        return probes[batch].fits

    batch = largest_fitting(fits, guess, candidates)
    return batch, tuple(probes[key] for key in sorted(probes))


def largest_fitting(fits: Callable[[int], bool], guess: int, candidates: Candidates = EVEN) -> int:
    """Search like ``largest_batch`` with verdicts instead of probes, and return the batch alone."""
    index = largest_index(lambda index: fits(candidates.at(index)), candidates.place(guess))
    return 0 if index < 0 else candidates.at(index)


def largest_index(fits: Callable[[int], bool], guess: int) -> int:
    """Search 0, 1, 2, ... for the largest index that fits; doubling steps away from a guess, then bisection.

    Args:
        fits: monotone: true up to the answer, false beyond it.
        guess: where to start.

    Returns:
        The index, or -1 where not even 0 fits. Both it and the next one were tried.
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
