"""Compares what was measured with a baseline. Never imports torch."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.regression.baseline import Figures, Measured, Spread
from bench.regression.findings import Finding, Verdict
from bench.regression.ratios import Ratios, growth

ABSENT = "absent"


def compare_figures(was: Figures, now: Figures) -> Iterator[Finding]:
    """Compare figures that are the same everywhere: every difference is a regression.

    Args:
        was: the baseline's.
        now: today's.
    """
    for group in _names(was, now):
        old, new = was.get(group, {}), now.get(group, {})
        for what in _names(old, new):
            yield _exact(group, what, old.get(what, ABSENT), new.get(what, ABSENT))


def compare_identities(files: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """Compare the names of stored records with those of their contents; nothing is stored about them.

    Args:
        files: as of ``bench.regression.figures.identities``.
    """
    for file, (name, own) in files.items():
        yield _exact("identities of records", file, name, own)


def compare_trainings(baseline: Spread, now: Measured) -> Iterator[Finding]:
    """Compare short trainings: bit by bit in the baseline's environment, elsewhere within its tolerance.

    Args:
        baseline: the stored trainings.
        now: today's.
    """
    was = baseline.reference
    if now.environment != was.environment:
        for cell in _names(was.values, now.values):
            old, new = was.values.get(cell), now.values.get(cell)
            far = old is None or new is None or relative_distance(old, new) > baseline.tolerance
            verdict: Verdict = "regression" if far else "same"
            yield _finding("trainings within a tolerance", cell, _losses(old), _losses(new), verdict)
        return
    for cell in _names(was.values, now.values):
        group = "trainings bit by bit"
        yield _exact(group, f"{cell} losses", _losses(was.values.get(cell)), _losses(now.values.get(cell)))
        yield _exact(group, f"{cell} weights", was.weights.get(cell, ABSENT), now.weights.get(cell, ABSENT))


def compare_psnr(baseline: Spread, now: Measured) -> Iterator[Finding]:
    """Compare mean PSNR: a loss beyond the tolerance is a regression, a gain or new weights are a note.

    Args:
        baseline: the stored figures.
        now: today's.
    """
    was = baseline.reference.values
    for weights in _names(was, now.values):
        old, new = was.get(weights), now.values.get(weights)
        gain = None if old is None or new is None else statistics.mean(new) - statistics.mean(old)
        verdict: Verdict = "same"
        if new is None or (gain is not None and gain < -baseline.tolerance):
            verdict = "regression"
        elif gain is None or gain > baseline.tolerance:
            verdict = "note"
        yield Finding(
            gate="tolerance", group="PSNR of weights", what=weights, was=_db(old), now=_db(new), verdict=verdict
        )


def compare_ratios(now: Ratios, was: Mapping[str, Sequence[float]] | None, slower: Iterable[str]) -> Iterator[Finding]:
    """Say how processor times changed.

    Args:
        now: today's ratios.
        was: the baseline's; None where ratios are those between two checkouts.
        slower: the workloads that are slower, as of ``bench.regression.ratios.confirmed``.
    """
    for workload, ratios in now.items():
        verdict: Verdict = "regression" if workload in slower else "same"
        change = f"{growth(ratios, None if was is None else was[workload]):.3f} times the time"
        yield Finding(gate="ratio", group="processor time", what=workload, was="1", now=change, verdict=verdict)


def relative_distance(was: Sequence[float], now: Sequence[float]) -> float:
    """Return the largest relative difference of two courses of a loss; infinite where lengths differ."""
    if len(was) != len(now):
        return float("inf")
    return max(abs(new - old) / abs(old) for old, new in zip(was, now, strict=True))


def psnr_distance(was: Sequence[float], now: Sequence[float]) -> float:
    """Return the difference of two mean PSNRs in dB."""
    return abs(statistics.mean(now) - statistics.mean(was))


def _exact(group: str, what: str, was: str, now: str) -> Finding:
    return _finding(group, what, was, now, "same" if was == now else "regression")


def _finding(group: str, what: str, was: str, now: str, verdict: Verdict) -> Finding:
    return Finding(gate="exact", group=group, what=what, was=was, now=now, verdict=verdict)


def _names(was: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [*was, *(name for name in now if name not in was)]


def _losses(values: Sequence[float] | None) -> str:
    return ABSENT if values is None else " ".join(f"{value!r}" for value in values)


def _db(values: Sequence[float] | None) -> str:
    return ABSENT if values is None else f"{statistics.mean(values):.3f} dB"
