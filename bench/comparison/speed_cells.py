"""Cells that time pieces of work beside what they could take at best."""

from collections.abc import Sequence
from functools import partial

from rich.table import Table

from bench.comparison.speed_pairs import CPU, WORK, Measure
from bench.records import Record, SpeedSpec, SpeedValues, Status
from bench.records.environment import installed, provenance
from bench.report.selection.records import Entry
from bench.report.tables.speed import Speed
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter

SLOW_S = 1.0
SLOW_REPEATS = 5
"""Of work that takes longer than ``SLOW_S``."""


def speed_cells(names: Sequence[str] = (), *, repeats: int = 31) -> list[StudyCell]:
    """Return one cell per piece of work, on the CPU.

    Args:
        names: keys of ``WORK``; none means all.
        repeats: measurements of each; five at most of what takes longer than a second.
    """
    where = provenance(CPU)
    cells = []
    for name in names or WORK:
        work = WORK[name]
        spec = SpeedSpec(
            work=name,
            batch=work.batch,
            image_shape=work.image_shape,
            beside=work.beside,
            repeats=repeats,
            peers=installed(work.libraries),
        )
        height, width = work.image_shape
        cells.append(StudyCell(spec, where, partial(_measure, spec), f"{height}x{width} pixels", apart=True))
    return cells


def _measure(spec: SpeedSpec, reporter: CellReporter) -> Outcome:
    missing = set(WORK[spec.work].libraries) - {peer.split()[0] for peer in spec.peers}
    if missing:
        return Outcome(Status.UNSUPPORTED, None, message=f"needs {', '.join(sorted(missing))}: pip install .[peers]")
    values = _repeated(WORK[spec.work].prepare(), spec.repeats, reporter)
    return Outcome(Status.OK, values, summary=f"{sum(values.work_s) / sum(values.beside_s):.2f} times {spec.beside}")


def _repeated(measure: Measure, repeats: int, reporter: CellReporter) -> SpeedValues:
    total, _ = measure()  # to warm up
    if total > SLOW_S:
        repeats = min(repeats, SLOW_REPEATS)
    found = []
    for repeat in range(repeats):
        reporter.detail(f"repeat {repeat + 1} of {repeats}")
        found.append(measure())
    work_s, beside_s = zip(*found, strict=True)
    return SpeedValues(work_s=work_s, beside_s=beside_s)


def speed_table(records: Sequence[Record]) -> Table:
    """Lay out every answer: milliseconds, ratio with its quartiles, goal."""
    table = Table(title="Speed beside what is possible, or beside another library")
    table.add_column("work")
    for name in ("ms", "ratio (quartiles)", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    for record in records:
        if isinstance(record.spec, SpeedSpec) and isinstance(record.values, SpeedValues):
            speed = Speed(Entry(record.spec, record.values, record.status, record.provenance))
            goal = "" if speed.goal is None else f"{speed.goal:g}"
            table.add_row(speed.title, f"{speed.ms.mid:.3g}", speed.ratio.text, goal)
    return table
