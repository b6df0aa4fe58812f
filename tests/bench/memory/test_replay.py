"""Verdicts on a batch: what fits is never above the cap in its own replay."""

from hypothesis import given
from hypothesis import strategies as st

from bench.memory.calibration import Rules
from bench.memory.replay import fits, judge, replay
from bench.memory.trace import Affine, Request, Trace
from bench.records import MIB

RULES = Rules(context_bytes=100 * MIB, bound="low")


def trace_of(*events):
    """Return a trace from (size in MiB an image, number) births and (None, number) deaths."""
    sizes = [size for size, _ in events if size is not None]
    requests = tuple(Request(*[Affine(0, size * MIB)] * 3, "forward", "") for size in sizes)
    return Trace(requests, tuple((number, size is not None) for size, number in events))


@st.composite
def traces(draw):
    """Draw a trace whose pieces die in any order."""
    events, alive, born = [], [], 0
    for _ in range(draw(st.integers(1, 40))):
        if alive and draw(st.booleans()):
            events.append((None, alive.pop(draw(st.integers(0, len(alive) - 1)))))
        else:
            events.append((draw(st.integers(1, 40)), born))
            alive.append(born)
            born += 1
    return trace_of(*events)


@given(traces(), st.integers(1, 4), st.integers(110, 900), st.booleans())
def test_both_verdicts_agree_and_what_fits_stays_below_the_cap(trace, batch, cap_mib, expandable):
    cap = cap_mib * MIB
    probe = judge(trace, batch, cap, RULES, expandable=expandable)
    assert probe.fits == fits(trace, batch, cap, RULES, expandable=expandable)
    assert probe.peak_bytes <= cap if probe.fits else probe.peak_bytes > cap or expandable
    assert probe.requested_bytes == replay(trace, batch, RULES, expandable=expandable).peak_requested


def test_verdicts_agree_where_a_segment_grows_by_less_than_is_asked_room_for():
    events = trace_of((21, 0), (40, 1), (40, 2), (21, 3))
    for cap in (140, 160, 180):
        assert (
            judge(events, 1, (100 + cap) * MIB, RULES, expandable=True).fits
            == fits(events, 1, (100 + cap) * MIB, RULES, expandable=True)
            == (cap > 140)
        )


def test_a_cap_that_is_felt_makes_room_by_a_retry():
    # 30 MiB are cached when 40 are asked for: without a cap 70 are held, with one of 60 the 30 are given back.
    trace = trace_of((30, 0), (None, 0), (40, 1))
    free, capped = (judge(trace, 1, RULES.context_bytes + room * MIB, RULES) for room in (80, 60))
    assert (free.fits, free.retries, free.peak_bytes) == (True, 0, 170 * MIB)
    assert (capped.fits, capped.retries, capped.peak_bytes) == (True, 1, 140 * MIB)
    refused = judge(trace, 1, RULES.context_bytes + 38 * MIB, RULES)
    assert (refused.fits, refused.peak_bytes) == (False, 170 * MIB)
