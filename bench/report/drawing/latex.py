"""The Jinja2 templates, and their filters for LaTeX and Markdown."""

from pathlib import Path

import jinja2

from bench.report.drawing.layout import Cell, Row, Table

TEMPLATES = Path(__file__).parents[1] / "templates"

_TEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{EN DASH}": "--",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": r"$-$",
    "π": r"$\pi$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
}


def environment() -> jinja2.Environment:
    """Return the templates' environment; its delimiters clash with neither LaTeX nor Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(()),
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"tex": tex, "tex_row": tex_row, "underlined": underlined, "md": md}
    return environment


def latex(table: Table) -> str:
    """Return a table as a LaTeX float for ``booktabs`` and ``graphicx``."""
    return environment().get_template("table.tex.j2").render(table=table)


def tex(text: str) -> str:
    """Escape plain text for LaTeX."""
    return "".join(_TEX.get(char, char) for char in text)


def md(text: object) -> str:
    """Escape plain text for Markdown, table cells included."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in str(text))


def tex_row(row: Row) -> str:
    """Return a table row's cells in LaTeX, without the line's end."""
    return " & ".join(_tex_cell(cell) for cell in row.cells)


def underlined(row: Row) -> list[tuple[int, int]]:
    """Return the first and last column, counted from 1, of every header cell that spans columns."""
    ranges, first = [], 1
    for cell in row.cells:
        if cell.span > 1:
            ranges.append((first, first + cell.span - 1))
        first += cell.span
    return ranges


def _tex_cell(cell: Cell) -> str:
    indent = len(cell.text) - len(cell.text.lstrip(" "))
    text = tex(cell.text.lstrip(" "))
    if cell.bold:
        text = rf"\textbf{{{text}}}"
    if indent:
        text = rf"\quad {text}"
    if cell.mark:
        text += rf"\rlap{{{tex(cell.mark)}}}"
    if cell.span > 1 or cell.align:
        text = rf"\multicolumn{{{cell.span}}}{{{cell.align or 'c'}}}{{{text}}}"
    return text
