"""``python -m bench.memory validate``: errors of simulations against GPU measurements."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from bench.cli import EXIT_CODES, results_option
from bench.cli.tables import print_table
from bench.memory.calibration import Calibration, calibrations, rule_set
from bench.memory.replay import judge
from bench.memory.simulate import simulated_batch, trace_key
from bench.memory.traces import trace_of
from bench.records import GIB, MemorySpec, MemoryValues, Probe, Record
from bench.records.store import ResultStore

MEDIAN_GOAL, WORST_GOAL = 0.02, 0.05

HELP = f"""Compare simulated with measured memory, for every stored cell that was proved on a GPU.

Each is simulated with the calibration of its GPU, torch, CUDA, cuDNN and flags, if there is one. Compared: the reserved
peak at the largest batch, and that batch. Exit code 1 if the median error exceeds {MEDIAN_GOAL:.0%} or the largest
{WORST_GOAL:.0%}.

\b
Example:
  python -m bench.memory validate --results results

{EXIT_CODES}
"""


@dataclass(frozen=True)
class Agreement:
    """One cell: measured and simulated reserved peak at the measured largest batch, both batches, the calibration."""

    spec: MemorySpec
    device: str
    measured_bytes: int
    simulated_bytes: int
    measured_batch: int
    simulated_batch: int
    calibration: str | None

    @property
    def error(self) -> float:
        """Relative, positive where the simulation is too high."""
        return self.simulated_bytes / self.measured_bytes - 1


@click.command("validate", help=HELP)
@results_option
def validate(results: Path) -> int:
    """Validate from the command line."""
    known = calibrations()
    found = [pair for record in ResultStore(results).records() if (pair := compare(record, known)) is not None]
    if not found:
        raise click.ClickException(
            f"{results} has no cell proved on a GPU: run python -m bench.memory --backend cuda on one first"
        )
    print_table(_table(found))
    if bounded := sum(pair.calibration is None for pair in found):
        click.echo(
            f"{bounded} of {len(found)} cells use documented bounds: no calibration for their GPU, versions and flags"
        )
    errors = [abs(pair.error) for pair in found]
    median, worst = statistics.median(errors), max(errors)
    right = sum(pair.measured_batch == pair.simulated_batch for pair in found)
    click.echo(f"error: median {median:.1%}, worst {worst:.1%}; exact batch in {right} of {len(found)} cells")
    return int(median > MEDIAN_GOAL or worst > WORST_GOAL)


def compare(record: Record, known: dict[str, Calibration]) -> Agreement | None:
    """Simulate a measured cell; None for any other record, and where no image fits."""
    spec, values = record.spec, record.values
    if not (isinstance(spec, MemorySpec) and spec.backend == "cuda" and isinstance(values, MemoryValues)):
        return None
    best = next((probe for probe in values.probes if probe.batch == values.max_batch), None)
    if best is None or best.context_bytes is None:
        return None
    name = _calibration_of(record, known)
    rules = rule_set(known.get(name or "")).expected
    trace = trace_of(trace_key(spec))
    found = judge(trace, best.batch, spec.cap_bytes, rules, expandable=spec.expandable_segments)
    return Agreement(
        spec=spec,
        device=record.provenance.device,
        measured_bytes=_reserved(best),
        simulated_bytes=found.peak_bytes - rules.context_bytes,
        measured_batch=values.max_batch,
        simulated_batch=simulated_batch(spec.model_copy(update={"calibration": name})),
        calibration=name,
    )


def _calibration_of(record: Record, known: dict[str, Calibration]) -> str | None:
    """Return the key of the calibration of a record's GPU, libraries and flags; a record that lacks one has none."""
    place = record.provenance
    place_key = (place.device, place.torch.partition("+")[0], place.cuda, place.cudnn, place.flags)
    for key, found in known.items():
        if place_key == (found.gpu, found.torch, found.cuda, found.cudnn, found.flags):
            return key
    return None


def _reserved(probe: Probe) -> int:
    assert probe.context_bytes is not None
    return probe.peak_bytes - probe.context_bytes


def _table(found: list[Agreement]) -> Table:
    table = Table(title="Reserved peaks, simulated and measured")
    for name in ("task", "model", "policy", "cap", "device"):
        table.add_column(name)
    for name in ("measured GiB", "simulated GiB", "error", "batch", "simulated batch"):
        table.add_column(name, justify="right")
    for pair in found:
        table.add_row(
            pair.spec.task,
            pair.spec.model,
            f"{pair.spec.policy} {pair.spec.precision}",
            f"{pair.spec.cap_bytes / GIB:g} GB",
            pair.device,
            f"{pair.measured_bytes / GIB:.3f}",
            f"{pair.simulated_bytes / GIB:.3f}",
            f"{pair.error:+.1%}",
            str(pair.measured_batch),
            str(pair.simulated_batch),
        )
    return table
