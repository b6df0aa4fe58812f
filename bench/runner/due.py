"""Which cells are due, and why."""

from collections.abc import Sequence

from rich.table import Table

from bench.records import Record
from bench.records.store import ResultStore, StoreError
from bench.runner.cell import StudyCell


def stored(cell: StudyCell, store: ResultStore) -> Record | None:
    """Return the record of a cell in its environment, however it ended; None where there is none."""
    path = store.path_of(cell.spec, cell.provenance)
    try:
        return store.read(path)
    except (FileNotFoundError, StoreError):
        return None


def failed_before(cell: StudyCell, store: ResultStore) -> bool:
    """Whether a cell's stored record is a crash or a time-out, which another run may mend."""
    record = stored(cell, store)
    return record is not None and not record.status.finished


def due_table(cells: Sequence[StudyCell], store: ResultStore, *, force: bool) -> Table:
    """Lay out every cell with what would be done, and why.

    Args:
        cells: of a command.
        store: where records are.
        force: whether stored cells are repeated.
    """
    table = Table()
    table.add_column("cell", overflow="fold")
    table.add_column("would run", no_wrap=True)
    table.add_column("reason", overflow="fold")
    reasons = [_reason(stored(cell, store), force=force) for cell in cells]
    for cell, (runs, reason) in zip(cells, reasons, strict=True):
        table.add_row(cell.label, "yes" if runs else "no", reason)
    table.title = f"{sum(runs for runs, _ in reasons)} of {len(cells)} cells would run"
    return table


def _reason(record: Record | None, *, force: bool) -> tuple[bool, str]:
    if record is None:
        return True, "no record"
    if not record.status.finished:
        return True, f"{record.status.value} before: {record.message}"
    return force, "repeated by --force" if force else f"stored: {record.status.value}"
