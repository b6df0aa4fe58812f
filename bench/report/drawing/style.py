"""The style of all figures: one colour per model, safe for the colour-blind, and little ink beside the data."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F", "#9A8500")
"""Okabe and Ito's colours, the paper's four models first and the user's own after them."""

INK, SOFT, GRID, BAND, EMPHASIS = "#1a1a1a", "#555555", "#e0e0e0", "#f6f6f6", "#e3001b"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "text.parse_math": False,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.wspace": 0.0,
    "savefig.facecolor": "white",
}
"""Settings of every figure, on top of matplotlib's defaults: a user's own would change the files."""

LEGEND_ROW = 0.17
"""Height of a legend's row in inches."""
WIDE_RATIO = 100
MOST_TICKS = 5


def colors(models: Sequence[str]) -> dict[str, str]:
    """Return each model's colour, the same in every figure.

    Args:
        models: the paper's models in the paper's order, then the user's own.
    """
    return {model: PALETTE[place % len(PALETTE)] for place, model in enumerate(models)}


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend below the panels, in as many rows as the figure's width takes; the figure grows by them.

    Args:
        figure: of constrained layout.
        handles: labelled artists.
    """
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width < figure.bbox.width:
            break
        legend.remove()
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 1))


def quiet_axis(axis: Axes, *, grid: str) -> None:
    """Keep grid lines along one axis only, and ticks without marks.

    Args:
        axis: what to tidy.
        grid: 'x' or 'y', the axis that is read off.
    """
    axis.grid(False)
    axis.grid(True, axis="x" if grid == "x" else "y", which="major")
    axis.tick_params(which="both", length=0)
    axis.spines["left" if grid == "x" else "bottom"].set_color(GRID)


class _PlainTicks(LogLocator):
    """Ticks at 1, 2 and 5 times the powers of ten, where there are few of these; else at some of the powers."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        subs, most = ((1.0, 2.0, 5.0), None) if vmax < WIDE_RATIO * vmin else ((1.0,), MOST_TICKS)
        return list(LogLocator(subs=subs, numticks=most).tick_values(vmin, vmax))


def logarithmic(axis: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make the x or the y axis logarithmic, with plain labels."""
    axis.set(**{f"{which}scale": "log"})
    ticks = axis.xaxis if which == "x" else axis.yaxis
    ticks.set_major_locator(_PlainTicks())
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_locator(NullLocator())
