"""What a printed table is, whether it ends as LaTeX or as an image, and the marks that all tables share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from bench.records import Status
from bench.report.selection.records import AnyEntry

MISSING = "\N{EN DASH}"
DIRTY = "†"
NOT_OK = "‡"
ASTRAY = "§"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
NOTE_MISSING = f"{MISSING}: not measured."
NOTE_DIRTY = f"{DIRTY} from a modified checkout, not a reference."
NOTE_NOT_OK = f"{NOT_OK} some runs of this cell did not end normally."
NOTE_ASTRAY = (
    f"{ASTRAY} fixed points not reached: more than 10 % of the held-out images have a relative residual above 0.01."
)
SHORT_STATUS = {
    Status.OUT_OF_MEMORY: "oom",
    Status.DIVERGED: "div.",
    Status.NONCONVERGED: "n.c.",
    Status.TIMEOUT: "t/o",
    Status.FAILED: "failed",
    Status.UNSUPPORTED: "n/s",
}
"""Text of a cell that was tried and has no values."""

_LONG_STATUS = {
    "oom": "oom: out of memory",
    "div.": "div.: training diverged",
    "n.c.": "n.c.: fixed point not reached",
    "t/o": "t/o: timed out",
    "failed": "failed: crashed",
    "n/s": "n/s: not supported",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: plain text, no markup.
        span: columns it covers.
        bold: whether it stands out.
        mark: reference marks behind the text, printed raised and outside the column's alignment.
        align: 'l', 'c' or 'r' where it differs from the column's.
    """

    text: str = ""
    span: int = 1
    bold: bool = False
    mark: str = ""
    align: str = ""


@dataclass(frozen=True)
class Row:
    """A row; ``rule`` draws a thin line above it."""

    cells: tuple[Cell, ...]
    rule: bool = False


@dataclass(frozen=True)
class Table:
    """A printed table.

    Attributes:
        name: file name without ending.
        title: what it shows, in one sentence.
        columns: 'l', 'c' or 'r' per column.
        header: rows above the middle rule; a cell that spans columns is underlined.
        body: rows below it.
        notes: remarks under the table, one line each.
    """

    name: str
    title: str
    columns: str
    header: tuple[Row, ...]
    body: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    def with_legend(self) -> "Table":
        """Return the table with a note for every mark and abbreviation that its body uses."""
        cells = [cell for row in self.body for cell in row.cells]
        notes = list(self.notes)
        if any(cell.text == MISSING for cell in cells):
            notes.append(NOTE_MISSING)
        if any(DIRTY in cell.mark for cell in cells):
            notes.append(NOTE_DIRTY)
        if any(NOT_OK in cell.mark for cell in cells):
            notes.append(NOTE_NOT_OK)
        if any(ASTRAY in cell.mark for cell in cells):
            notes.append(NOTE_ASTRAY)
        used = sorted({cell.text for cell in cells} & set(_LONG_STATUS))
        if used:
            notes.append("; ".join(_LONG_STATUS[text] for text in used) + ".")
        return replace(self, notes=tuple(notes))


def answer(text: str | None, entries: Sequence[AnyEntry]) -> Cell:
    """Return the cell of a measured figure: its text, or why there is none, with its marks.

    Args:
        text: the figure in print, None where the entries have no values.
        entries: the records that it comes from.
    """
    mark = DIRTY if any(entry.provenance.dirty for entry in entries) else ""
    if text is not None:
        not_ok = any(entry.status is not Status.OK for entry in entries)
        return Cell(text, mark=mark + (NOT_OK if not_ok else ""))
    tried = [SHORT_STATUS[entry.status] for entry in entries if entry.status in SHORT_STATUS]
    return Cell(tried[0], mark=mark) if tried else Cell(MISSING)


def embolden_best(cells: Iterable[Cell]) -> list[Cell]:
    """Return a row's cells with the two highest figures in bold, ties at the printed precision included.

    Fewer than three figures are no contest and stay as they are.
    """
    row = list(cells)
    figures = [_figure(cell.text) for cell in row]
    known = sorted((figure for figure in figures if figure is not None), reverse=True)
    if len(known) < 3:
        return row
    best = [figure is not None and figure >= known[1] for figure in figures]
    return [replace(cell, bold=bold) for cell, bold in zip(row, best, strict=True)]


def bytes_text(count: int) -> str:
    """Return a capacity in the unit that makes it a round number: '7.5 GiB', '24 GB'."""
    if count % 10**9 == 0 and count % 2**30:
        return f"{count // 10**9} GB"
    return f"{count / 2**30:.4g} GiB"


def shape_text(shape: tuple[int, int]) -> str:
    """Return an image size in print, height first."""
    return f"{shape[0]}\N{MULTIPLICATION SIGN}{shape[1]}"


def listing(values: Iterable[object]) -> str:
    """Return distinct values in their order, '2', '2 and 3' or '2, 3 and 4'."""
    distinct = list(dict.fromkeys(str(value) for value in values))
    if len(distinct) < 2:
        return "".join(distinct)
    return ", ".join(distinct[:-1]) + " and " + distinct[-1]


def _figure(text: str) -> float | None:
    """Return the number of a cell, without its spread; None where there is none."""
    try:
        figure = float(text.partition(PLUS_MINUS)[0])
    except ValueError:
        return None
    return figure if isfinite(figure) else None
