"""The search: right for every threshold, and both sides of the answer tried."""

import pytest

from bench.memory.search import ANY, EVEN, largest_batch
from bench.records import Probe

EVERY_SECOND, EVERY_ONE = [1, *range(2, 201, 2)], list(range(1, 201))


@pytest.mark.parametrize(("candidates", "all_of_them"), [(EVEN, EVERY_SECOND), (ANY, EVERY_ONE)])
@pytest.mark.parametrize("guess", [1, 2, 8, 64])
@pytest.mark.parametrize("threshold", [0, 1, 2, 3, 4, 7, 10, 33, 68, 150])
def test_finds_the_largest_candidate_at_most_the_threshold(threshold, guess, candidates, all_of_them):
    tried = []

    def attempt(batch):
        assert batch not in tried, "a batch was tried twice"
        tried.append(batch)
        return Probe(batch=batch, peak_bytes=batch, fits=batch <= threshold)

    batch, probes = largest_batch(attempt, guess, candidates)
    assert batch == max((c for c in all_of_them if c <= threshold), default=0)
    verdicts = {probe.batch: probe.fits for probe in probes}
    assert verdicts[next(c for c in all_of_them if c > batch)] is False
    assert batch == 0 or verdicts[batch] is True


def test_a_right_guess_needs_two_probes():
    _, probes = largest_batch(lambda b: Probe(batch=b, peak_bytes=b, fits=b <= 34), guess=34)
    assert [probe.batch for probe in probes] == [34, 36]
