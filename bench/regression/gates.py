"""The three gates: each measures, and compares with its baseline. Never imports torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.regression import children
from bench.regression.baseline import (
    FOLDER,
    Environment,
    ExactBaseline,
    Gate,
    RatioBaseline,
    ToleranceBaseline,
    read_baseline,
)
from bench.regression.compare import (
    compare_figures,
    compare_identities,
    compare_psnr,
    compare_ratios,
    compare_trainings,
)
from bench.regression.findings import Finding
from bench.regression.ratios import Ratios, confirmed, ratios_between, ratios_to_plain
from bench.regression.stopwatch import Stopwatch
from bench.regression.worktree import checked_out


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the gates share.

    Attributes:
        folder: of the baselines.
        results: the results folder.
        against: commit whose times the ratio gate compares with, in place of the baseline's.
        told: told what is being measured.
    """

    folder: Path = FOLDER
    results: Path = Path("results")
    against: str | None = None
    told: Callable[[str], None] = lambda text: None


def run_gates(gates: Sequence[Gate], setup: Setup) -> list[Finding]:
    """Run some gates and return all that they compared.

    Args:
        gates: which; all baselines are read before anything is measured.
        setup: see there.

    Raises:
        click.ClickException: if a baseline cannot be read, or something cannot be measured.
    """
    prepared = [_PREPARE[gate](setup) for gate in gates]
    return [finding for measure in prepared for finding in measure()]


def machine_of(environment: Environment) -> str:
    """Name a machine whose ratios can be compared with another's of this name."""
    return f"{environment.processor}, {environment.capability}, torch {environment.torch}"


def _exact(setup: Setup) -> Callable[[], list[Finding]]:
    baseline = read_baseline(ExactBaseline, setup.folder)

    def measure() -> list[Finding]:
        setup.told("exact: counts, simulated batches, identities")
        answer = children.figures(setup.results)
        setup.told("exact: short trainings")
        trainings = children.measured("trainings", setup.results)
        return [
            *compare_figures(baseline.figures, answer.figures),
            *compare_identities(answer.identities),
            *compare_trainings(baseline.trainings, trainings),
        ]

    return measure


def _tolerance(setup: Setup) -> Callable[[], list[Finding]]:
    baseline = read_baseline(ToleranceBaseline, setup.folder)

    def measure() -> list[Finding]:
        setup.told("tolerance: PSNR of stored weights")
        return list(compare_psnr(baseline.psnr_db, children.measured("psnr", setup.results)))

    return measure


def _ratio(setup: Setup) -> Callable[[], list[Finding]]:
    commit = setup.against
    if commit is not None:
        return lambda: _against(commit, setup)
    baseline = read_baseline(RatioBaseline, setup.folder)

    def measure() -> list[Finding]:
        machine = machine_of(children.environment())
        was = baseline.machines.get(machine)
        if was is None:
            return [_unknown(machine, baseline)]
        setup.told("ratio: processor times beside plain torch's")
        ratios, slower = confirmed(plain_ratios, was)
        return list(compare_ratios(ratios, was, slower))

    return measure


def plain_ratios(workloads: Sequence[str]) -> Ratios:
    """Measure some workloads beside plain torch in a fresh process."""
    with Stopwatch() as watch:
        return ratios_to_plain(watch, workloads)


def _against(commit: str, setup: Setup) -> list[Finding]:
    with checked_out(commit) as tree:

        def measure(workloads: Sequence[str]) -> Ratios:
            with Stopwatch() as ours, Stopwatch(tree) as theirs:
                return ratios_between(ours, theirs, workloads)

        setup.told(f"ratio: processor times beside those of {commit}")
        ratios, slower = confirmed(measure, None)
    return list(compare_ratios(ratios, None, slower))


def _unknown(machine: str, baseline: RatioBaseline) -> Finding:
    """Times on another machine say nothing: they are told, and raise no alarm."""
    return Finding(
        gate="ratio",
        group="processor time",
        what="not compared, use --against a commit",
        was=" or ".join(baseline.machines) or "nothing",
        now=machine,
        verdict="note",
    )


_PREPARE: dict[Gate, Callable[[Setup], Callable[[], list[Finding]]]] = {
    "exact": _exact,
    "tolerance": _tolerance,
    "ratio": _ratio,
}
