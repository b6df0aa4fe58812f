"""Writes new baselines. Never imports torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from bench.regression import children
from bench.regression.baseline import (
    ROOT,
    Baseline,
    ExactBaseline,
    Gate,
    Measured,
    RatioBaseline,
    Spread,
    ToleranceBaseline,
    file_digest,
    read_baseline,
    write_baseline,
)
from bench.regression.changelog import require_line
from bench.regression.compare import distances_db, relative_distances
from bench.regression.gates import Setup, machine_of, plain_ratios
from bench.regression.ratios import WORKLOADS

CHANGELOG = ROOT / "CHANGELOG.md"
SAFETY = 3.0
"""A tolerance in units of the largest difference that was measured between environments."""

LEAST_RELATIVE, LEAST_DB = 1e-5, 0.005
MOST_DB = 0.15
"""Half of the loss that must be caught."""

PROCESSES = 2
"""That measure ratios for a baseline: those of one process lie closer together than those of several."""

KINDS: dict[Gate, type[Baseline]] = {
    "exact": ExactBaseline,
    "tolerance": ToleranceBaseline,
    "ratio": RatioBaseline,
}

Distances = Callable[[Sequence[float], Sequence[float]], tuple[float, ...]]


def update(
    gates: Sequence[Gate],
    setup: Setup,
    *,
    text: str | None = None,
    pythons: Sequence[str] = (),
    changelog: Path = CHANGELOG,
) -> list[Path]:
    """Measure and write new baselines.

    Args:
        gates: which.
        setup: where, and from what.
        text: line to add to the changelog.
        pythons: further interpreters to measure tolerances with.
        changelog: the file.

    Returns:
        The files written.

    Raises:
        click.ClickException: if it is refused for want of a line in the changelog, or the environments differ so much
            that the tolerance would let a real loss pass.
    """
    existing = [gate for gate in gates if (setup.folder / f"{gate}.json").exists()]
    require_line(changelog, [read_baseline(KINDS[gate], setup.folder).changelog for gate in existing], text)
    written = []
    for gate in gates:
        baseline = _MEASURE[gate](setup, pythons, file_digest(changelog))
        written.append(write_baseline(baseline, setup.folder))
    return written


def spread(
    reference: Measured, elsewhere: Mapping[str, Measured], distances: Distances, least: float, most: float = math.inf
) -> Spread:
    """Derive tolerances from what several environments gave.

    Args:
        reference: the baseline's.
        elsewhere: by environment.
        distances: of two cells' numbers, one by one.
        least: a smaller tolerance is raised to this.
        most: a larger one is refused.

    Raises:
        click.ClickException: if one is refused.
    """
    tolerances = {}
    for cell, values in reference.values.items():
        found = [distances(values, measured.values[cell]) for measured in elsewhere.values()]
        tolerances[cell] = tuple(max(SAFETY * max(ones), least) for ones in zip(*found, strict=True))
        if max(tolerances[cell]) > most:
            far = max(map(max, found))
            raise click.ClickException(f"no tolerance catches a loss: {cell} differs between environments by {far:.3g}")
    return Spread(reference=reference, elsewhere=dict(elsewhere), tolerances=tolerances)


def _exact(setup: Setup, pythons: Sequence[str], changelog: str) -> ExactBaseline:
    setup.told("exact: counts, simulated batches")
    figures = children.figures(setup.results).figures
    trainings = _spread("trainings", setup, pythons, relative_distances, LEAST_RELATIVE)
    return ExactBaseline(changelog=changelog, figures=figures, trainings=trainings)


def _tolerance(setup: Setup, pythons: Sequence[str], changelog: str) -> ToleranceBaseline:
    return ToleranceBaseline(
        changelog=changelog, psnr_db=_spread("psnr", setup, pythons, distances_db, LEAST_DB, MOST_DB)
    )


def _spread(
    part: children.RoundedPart,
    setup: Setup,
    pythons: Sequence[str],
    distances: Distances,
    least: float,
    most: float = math.inf,
) -> Spread:
    setup.told(f"{part}: here")
    reference = children.measured(part, setup.results)
    told = setup.told
    elsewhere = children.measured_elsewhere(part, setup.results, pythons, lambda name: told(f"{part}: {name}"))
    return spread(reference, elsewhere, distances, least, most)


def _ratio(setup: Setup, pythons: Sequence[str], changelog: str) -> RatioBaseline:
    machine = machine_of(children.environment())
    setup.told(f"ratio: {machine}")
    runs = [plain_ratios(WORKLOADS) for _ in range(PROCESSES)]
    ratios = {workload: sum((run[workload] for run in runs), ()) for workload in WORKLOADS}
    stored = (setup.folder / "ratio.json").exists()
    machines = read_baseline(RatioBaseline, setup.folder).machines if stored else {}
    return RatioBaseline(changelog=changelog, machines=machines | {machine: ratios})


_MEASURE: dict[Gate, Callable[[Setup, Sequence[str], str], Baseline]] = {
    "exact": _exact,
    "tolerance": _tolerance,
    "ratio": _ratio,
}
