"""Tables drawn as images: measured text, three rules and no grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.lines import Line2D

from bench.report.drawing.files import DPI
from bench.report.drawing.latex import underlined
from bench.report.drawing.layout import Cell, Row, Table

FONT = "DejaVu Sans"
SIZE, NOTE_SIZE, MARK_SIZE = 9.0, 7.5, 6.5
"""Type sizes in points; the whole drawing is laid out in points."""
LINE, NOTE_LINE = 15.0, 11.5
GAP = 14.0
"""Space between columns."""
MARGIN = 16.0
RULE_SPACE = 5.0
INK, SOFT = "#1a1a1a", "#555555"
SURE = 0.1
"""Share of a line by which the sum of its words' widths is certainly not wrong."""
MOST_ROWS = 60
"""A longer image could neither be read nor printed."""
HEAVY, THIN = 1.1, 0.5


@dataclass(frozen=True)
class _Sheet:
    """A figure addressed in points from its upper left corner."""

    figure: Figure
    width: float
    height: float

    def text(
        self, x: float, y: float, text: str, size: float, align: str, *, bold: bool = False, color: str = INK
    ) -> None:
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            fontproperties=_font(size, bold),
            ha={"l": "left", "c": "center", "r": "right"}[align],
            va="baseline",
            color=color,
            parse_math=False,
        )

    def rule(self, left: float, right: float, y: float, weight: float, color: str = INK) -> None:
        level = 1 - y / self.height
        line = Line2D([left / self.width, right / self.width], [level, level], lw=weight, color=color)
        line.set_transform(self.figure.transFigure)
        line.set_solid_capstyle("butt")
        self.figure.add_artist(line)


def draw_table(table: Table) -> Figure:
    """Draw a table with its title above and its notes below, as large as its text needs.

    Args:
        table: what to draw; the same object makes the LaTeX table.
    """
    table = _shortened(table)
    widths = _column_widths(table)
    edges = [MARGIN]
    for width in widths:
        edges.append(edges[-1] + width + GAP)
    right = edges[-1] - GAP
    title = _wrap(table.title, right - MARGIN, SIZE, bold=True)
    notes = [line for note in table.notes for line in _wrap(note, right - MARGIN, NOTE_SIZE)]
    rules = 1 + sum(row.rule for row in table.body[1:])
    height = 2 * MARGIN + LINE * (len(title) + len(table.header) + len(table.body))
    height += NOTE_LINE * len(notes) + RULE_SPACE * (1.5 * rules + 3.5)
    width = right + MARGIN
    sheet = _Sheet(Figure(figsize=(width / 72, height / 72), facecolor="white"), width, height)
    y = MARGIN
    for line in title:
        y += LINE
        sheet.text(MARGIN, y - 4, line, SIZE, "l", bold=True)
    y = _draw_rows(sheet, table, edges, y)
    for line in notes:
        y += NOTE_LINE
        sheet.text(MARGIN, y, line, NOTE_SIZE, "l", color=SOFT)
    return sheet.figure


def _shortened(table: Table) -> Table:
    """Return the rows that a page has room for, and say where the others are."""
    if len(table.body) <= MOST_ROWS:
        return table
    note = f"The first {MOST_ROWS} of {len(table.body)} rows; {table.name}.tex has all of them."
    return replace(table, body=table.body[:MOST_ROWS], notes=(*table.notes, note))


def _draw_rows(sheet: _Sheet, table: Table, edges: Sequence[float], y: float) -> float:
    left, right = edges[0], edges[-1] - GAP
    y += RULE_SPACE
    sheet.rule(left, right, y, HEAVY)
    y += RULE_SPACE / 2
    for row in table.header:
        y += LINE
        _draw_row(sheet, table, row, edges, y - 4)
        for first, last in underlined(row):
            sheet.rule(edges[first - 1], edges[last] - GAP, y + 0.5, THIN)
    for index, row in enumerate(table.body):
        if row.rule or index == 0:
            y += RULE_SPACE
            sheet.rule(left, right, y, THIN)
            y += RULE_SPACE / 2
        y += LINE
        _draw_row(sheet, table, row, edges, y - 4)
    y += RULE_SPACE
    sheet.rule(left, right, y, HEAVY)
    return y + RULE_SPACE


def _draw_row(sheet: _Sheet, table: Table, row: Row, edges: Sequence[float], y: float) -> None:
    column = 0
    for cell in row.cells:
        left, right = edges[column], edges[column + cell.span] - GAP
        align = cell.align or ("c" if cell.span > 1 else table.columns[column])
        x = {"l": left, "c": (left + right) / 2, "r": right}[align]
        column += cell.span
        if not cell.text:
            continue
        # Leading spaces indent; they are no ink, so a drawn string would lose them.
        x += 4.0 * (len(cell.text) - len(cell.text.lstrip(" ")))
        text = cell.text.strip()
        sheet.text(x, y, text, SIZE, align, bold=cell.bold)
        if cell.mark:
            width = _width(text, SIZE, cell.bold)
            end = x + {"l": width, "c": width / 2, "r": 0.0}[align]
            sheet.text(end + 0.8, y - 3, cell.mark, MARK_SIZE, "l")


def _column_widths(table: Table) -> list[float]:
    rows = (*table.header, *table.body)
    widths = [0.0] * len(table.columns)
    for row in rows:
        for column, cell in _placed(row):
            if cell.span == 1:
                widths[column] = max(widths[column], _cell_width(cell))
    for row in rows:
        for column, cell in _placed(row):
            room = sum(widths[column : column + cell.span]) + GAP * (cell.span - 1)
            for place in range(column, column + cell.span):
                widths[place] += max(0.0, _cell_width(cell) - room) / cell.span
    return widths


def _placed(row: Row) -> list[tuple[int, Cell]]:
    placed, column = [], 0
    for cell in row.cells:
        placed.append((column, cell))
        column += cell.span
    return placed


def _cell_width(cell: Cell) -> float:
    indent = 4.0 * (len(cell.text) - len(cell.text.lstrip(" ")))
    return indent + _width(cell.text.strip(), SIZE, cell.bold)


@cache
def _width(text: str, size: float, bold: bool) -> float:
    """Return a text's width in points as it will be drawn: hinting depends on the resolution."""
    if not text:
        return 0.0
    pixels, _, _ = _ruler().get_text_width_height_descent(text, _font(size, bold), ismath=False)
    return float(pixels) * 72 / DPI


@cache
def _ruler() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


def _wrap(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    lines: list[str] = []
    space, about = _width("n n", size, bold) - _width("nn", size, bold), 0.0
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        about += space + _width(word, size, bold)
        # Words' widths nearly add up to the line's, which takes long to measure and is only where it matters.
        close = abs(about - width) < SURE * width
        if lines and (_width(longer, size, bold) <= width if close else about < width):
            lines[-1] = longer
        else:
            lines.append(word)
            about = _width(word, size, bold)
    return lines


@cache
def _font(size: float, bold: bool) -> FontProperties:
    # By its file: matplotlib would look a family up again for every text that it draws.
    return FontProperties(fname=findfont(FontProperties(family=FONT, weight="bold" if bold else "normal")), size=size)
