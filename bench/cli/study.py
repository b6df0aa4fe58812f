"""What measuring commands share: where records go, which cells are due, how they are run, how the command ends."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cli.cluster import CLUSTER_OPTIONS, pop_cluster
from bench.cli.command import EXIT_FAILED_CELLS
from bench.cli.options import results_option
from bench.cli.parameters import JOBS, MINUTES, Bytes

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from bench.records import Record
    from bench.records.store import ResultStore
    from bench.runner.cell import StudyCell
    from bench.runner.cluster import Cluster
    from bench.runner.part import Part
    from bench.runner.running import Running

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Study:
    """The options of a measuring command that do not belong to its question.

    Attributes:
        results: folder of the records.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        force: repeat cells that are stored.
        only_failed: run the cells alone whose stored record is a failure.
        dry_run: say which cells would run, and run none.
        jobs: cells at once.
        time_limit_s: of one attempt at a cell.
        memory_limit_bytes: of a cell's process.
        cluster: where the cells' jobs run; None where this command measures them.
        part: the cells that this command answers as a job; None for all.
    """

    results: Path
    device: str
    force: bool
    only_failed: bool
    dry_run: bool
    jobs: int
    time_limit_s: float | None
    memory_limit_bytes: int | None
    cluster: "Cluster | None" = None
    part: "Part | None" = None

    @cached_property
    def store(self) -> "ResultStore":
        """The records; opened once."""
        from bench.records.store import ResultStore

        return ResultStore(self.results)

    @cached_property
    def place(self) -> "torch.device":
        """The device, shared by the jobs; where a cluster's jobs choose theirs, a stand-in.

        Raises:
            click.ClickException: if it is unknown or absent, or there are more jobs than GPUs.
        """
        from bench.records.environment import pick_device, share_device

        if self.cluster is not None:
            return pick_device("cpu")
        device = pick_device(self.device)
        share_device(device, self.jobs)
        return device

    @property
    def running(self) -> "Running":
        """How cells are run."""
        from bench.runner.running import Limits, Running

        limits = Limits(time_s=self.time_limit_s, memory_bytes=self.memory_limit_bytes)
        return Running(force=self.force, jobs=self.jobs, limits=limits)

    def records(self, cells: "Sequence[StudyCell]") -> "list[Record]":
        """Answer the cells that are due; none with ``--dry-run``, which lists them."""
        from bench.runner.due import due_table, failed_before
        from bench.runner.run import run_cells

        if self.part is not None:
            return self.part.answer(cells, self.store, self.running, only_failed=self.only_failed)
        if self.cluster is not None:
            return self._on_cluster(cells, self.cluster)
        if self.only_failed:
            cells = [cell for cell in cells if failed_before(cell, self.store)]
        if self.dry_run:
            self.show(due_table(cells, self.store, force=self.force))
            return []
        return run_cells(cells, self.store, self.running)

    def _on_cluster(self, cells: "Sequence[StudyCell]", cluster: "Cluster") -> "list[Record]":
        from bench.runner.cluster import jobs_table, run_on_cluster

        if self.dry_run:
            self.show(jobs_table(cells))
            return []
        return run_on_cluster(cells, self.store, cluster)

    def answer(
        self, cells: "Sequence[StudyCell]", tables: "Callable[[Sequence[Record]], Table | Sequence[Table]]"
    ) -> int:
        """Answer cells, print the tables of their records, and return the exit code."""
        records = self.records(cells)
        if not self.dry_run:
            self.show(tables(records))
        return self.code(records)

    def code(self, records: "Sequence[Record]") -> int:
        """Return the exit code: whether every cell has an answer."""
        from bench.runner.cell import all_answered

        return 0 if all_answered(records) else EXIT_FAILED_CELLS

    def show(self, tables: "Table | Sequence[Table]") -> None:
        """Print tables, from the first of several processes only."""
        from rich.table import Table

        from bench.cli.tables import print_table
        from bench.runner.team import leads

        if leads():
            for table in [tables] if isinstance(tables, Table) else tables:
                print_table(table)


def study_options(function: _F) -> _F:
    """Add the options of a measuring command, which the function receives as ``study``."""
    return _with_options(function, (*_OPTIONS, *CLUSTER_OPTIONS))


def study_options_here(function: _F) -> _F:
    """Add the same without a cluster: for commands whose cells follow from one another."""
    return _with_options(function, _OPTIONS)


def _with_options(function: _F, chosen: Sequence[Callable[[Any], Any]]) -> _F:
    @functools.wraps(function)
    def with_study(*arguments: Any, **options: Any) -> Any:
        from bench.runner.part import Part

        cluster, part = pop_cluster(options), click.get_current_context().find_object(Part)
        if part is not None:  # the command as it was given, in one of its jobs
            cluster, options["results"] = None, part.results
        names = Study.__dataclass_fields__.keys() - {"cluster", "part"}
        study = Study(**{name: options.pop(name) for name in names}, cluster=cluster, part=part)
        return function(*arguments, study=study, **options)

    decorated: Any = with_study
    for option in reversed(chosen):
        decorated = option(decorated)
    result: _F = decorated
    return result


def _seconds(_: click.Context, __: click.Parameter, minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


_OPTIONS = (
    click.option(
        "--jobs",
        type=JOBS,
        default=1,
        show_default=True,
        help="Cells measured at once: one per GPU, or sharing the processor's cores. Simulated cells use every core.",
    ),
    click.option(
        "--time-limit",
        "time_limit_s",
        type=MINUTES,
        callback=_seconds,
        metavar="MINUTES",
        help="Minutes of one attempt at a cell; it is tried three times. Default: any, while it reports progress at "
        "least once per hour.",
    ),
    click.option(
        "--memory-limit",
        "memory_limit_bytes",
        type=Bytes(),
        help="Memory of a cell's process, e.g. 16GB (on Linux). Default: any.",
    ),
    click.option("--dry-run", is_flag=True, help="List the cells with the reason why each would run; run none."),
    click.option("--failed", "only_failed", is_flag=True, help="Run only the cells that failed or timed out before."),
    click.option("--force", is_flag=True, help="Repeat cells already stored for this machine."),
    click.option(
        "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ... ; auto takes CUDA if available."
    ),
    results_option,
)
