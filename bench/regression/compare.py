"""Compares what was measured with a baseline. Never imports torch."""

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
    """Compare short trainings: bit by bit in the baseline's environment, elsewhere within its tolerancess.

    Args:
        baseline: the stored trainings.
        now: today's.
    """
    was = baseline.reference
    if now.environment != was.environment:
        for cell in _names(was.values, now.values):
            old, new = was.values.get(cell), now.values.get(cell)
            near = old is not None and new is not None and _within(old, new, baseline.tolerances[cell])
            verdict: Verdict = "same" if near else "regression"
            yield _finding("trainings within tolerances", cell, _losses(old), _losses(new), verdict)
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
        verdict: Verdict = "same"
        if new is None:
            verdict = "regression"
        elif old is None:
            verdict = "note"
        elif not abs(new[0] - old[0]) <= baseline.tolerances[weights][0]:
            verdict = "note" if new > old else "regression"
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


def relative_distances(was: Sequence[float], now: Sequence[float]) -> tuple[float, ...]:
    """Return the relative difference of every loss."""
    return tuple(abs(new - old) / abs(old) for old, new in zip(was, now, strict=True))


def distances_db(was: Sequence[float], now: Sequence[float]) -> tuple[float, ...]:
    """Return the difference of every PSNR in dB."""
    return tuple(abs(new - old) for old, new in zip(was, now, strict=True))


def _within(was: Sequence[float], now: Sequence[float], tolerances: Sequence[float]) -> bool:
    if len(was) != len(now):
        return False
    # Written so that nan is far from everything.
    return all(far <= most for far, most in zip(relative_distances(was, now), tolerances, strict=True))


def _exact(group: str, what: str, was: str, now: str) -> Finding:
    return _finding(group, what, was, now, "same" if was == now else "regression")


def _finding(group: str, what: str, was: str, now: str, verdict: Verdict) -> Finding:
    return Finding(gate="exact", group=group, what=what, was=was, now=now, verdict=verdict)


def _names(was: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [*was, *(name for name in now if name not in was)]


def _losses(values: Sequence[float] | None) -> str:
    return ABSENT if values is None else " ".join(f"{value!r}" for value in values)


def _db(values: Sequence[float] | None) -> str:
    return ABSENT if values is None else f"{values[0]:.3f} dB"
