"""Ratios of processor times, and whether they grew. Never imports torch.

Times are processor seconds of one thread, so that a loaded machine stretches both sides of a ratio at most a little.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.regression.stopwatch import Stopwatch

WORKLOADS = (
    *(f"training step {model}" for model in ("lu-dncnn", "deq4ip", "luser-sw", "luser-dw")),
    *(f"operator {operator}" for operator in ("gaussian-blur", "subsampled-fourier", "radon")),
    *(f"solver {solver}" for solver in ("anderson", "broyden", "picard")),
)
CALIBRATION = "plain torch"
ROUNDS = 16
LEAST_STORED, LEAST_BETWEEN = 1.15, 1.1
"""A workload that is slower by a smaller factor, than in the baseline or than in another checkout, is no regression: so
much do clean runs on a loaded machine differ."""

ERROR_RATE = 0.05
"""How often a measurement would find something if all workloads were slower by just that factor; an alarm needs two."""

RUNS = 2
"""Of a workload, of which the fastest counts: what disturbs a run only adds time."""

Ratios = dict[str, tuple[float, ...]]
"""Workload -> its ratios, one a round."""

Measure = Callable[[Sequence[str]], Ratios]
"""Measures the ratios of some workloads in fresh processes."""


def ratios_to_plain(watch: Stopwatch, workloads: Iterable[str], rounds: int = ROUNDS) -> Ratios:
    """Return times over those of plain torch's operations, which run before and after each.

    Args:
        watch: times.
        workloads: which.
        rounds: ratios of each; all workloads take turns.
    """
    found: dict[str, list[float]] = {workload: [] for workload in workloads}
    before = _seconds(watch, CALIBRATION)
    for _ in range(rounds):
        for workload, ratios in found.items():
            seconds, after = _seconds(watch, workload), _seconds(watch, CALIBRATION)
            ratios.append(2 * seconds / (before + after))
            before = after
    return {workload: tuple(ratios) for workload, ratios in found.items()}


def ratios_between(ours: Stopwatch, theirs: Stopwatch, workloads: Iterable[str], rounds: int = ROUNDS) -> Ratios:
    """Return our times over theirs, taken one right after the other, in turns first.

    Args:
        ours: times one checkout.
        theirs: times the other.
        workloads: which.
        rounds: ratios of each.
    """
    found: dict[str, list[float]] = {workload: [] for workload in workloads}
    for turn in range(rounds):
        for workload, ratios in found.items():
            order = (ours, theirs) if turn % 2 else (theirs, ours)
            seconds = {watch: _seconds(watch, workload) for watch in order}
            ratios.append(seconds[ours] / seconds[theirs])
    return {workload: tuple(ratios) for workload, ratios in found.items()}


def growth(now: Sequence[float], was: Sequence[float] | None) -> float:
    """Return by which factor a workload became slower: medians of today's ratios over the stored ones, or over 1."""
    return statistics.median(now) / (statistics.median(was) if was else 1.0)


def slower_ones(now: Ratios, was: Mapping[str, Sequence[float]] | None) -> list[str]:
    """Return the workloads that are slower by more than the least effect, by rank tests with Holm's correction.

    Args:
        now: today's ratios.
        was: the baseline's (Mann-Whitney); None where ratios are those between two checkouts (Wilcoxon, paired).
    """
    chances = {name: _chance(ratios, None if was is None else was[name]) for name, ratios in now.items()}
    found = []
    for place, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        if chances[name] * (len(chances) - place) > ERROR_RATE:
            break
        found.append(name)
    return found


def confirmed(measure: Measure, was: Mapping[str, Sequence[float]] | None) -> tuple[Ratios, list[str]]:
    """Measure, and measure what seems slower once more in fresh processes: only what is slower twice counts.

    Args:
        measure: measures.
        was: as in ``slower_ones``.

    Returns:
        The ratios, the second ones where there are any, and the workloads that are slower.
    """
    ratios = measure(WORKLOADS)
    suspects = slower_ones(ratios, was)
    if not suspects:
        return ratios, []
    again = measure(suspects)
    return ratios | again, slower_ones(again, was)


def _seconds(watch: Stopwatch, workload: str) -> float:
    return min(watch.seconds(workload) for _ in range(RUNS))


def _chance(now: Sequence[float], was: Sequence[float] | None) -> float:
    """How likely such ratios, or larger ones, are where the workload is slower by just the least effect."""
    from scipy.stats import mannwhitneyu, wilcoxon  # a second, which --help need not wait

    if was is None:
        return float(wilcoxon([math.log(ratio / LEAST_BETWEEN) for ratio in now], alternative="greater").pvalue)
    return float(mannwhitneyu(now, [LEAST_STORED * ratio for ratio in was], alternative="greater").pvalue)
