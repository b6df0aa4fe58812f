"""How long work takes beside what it could take at best: one line per piece of work, with quartiles and goals."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.drawing.style import EMPHASIS, PALETTE, SOFT, legend_below, logarithmic, quiet_axis
from bench.report.tables.operator_times import Spread
from bench.report.tables.speed import Speed

LINE_INCHES, FRAME_INCHES = 0.3, 0.75
"""Height of a line, and of the axis below."""

CAPTION = (
    "Time of a piece of work divided by that of what is named beside it, called in turn. Dots: medians of the ratios; "
    "bars: quartiles; red marks: goals. On the right: the ratio, and the work's own time."
)


def speed_figure(shown: Sequence[Speed]) -> Figure:
    """Draw the ratios on a logarithmic axis.

    Args:
        shown: what ``shown_speed`` chose; at least one.
    """
    figure = Figure(figsize=(8.2, FRAME_INCHES + LINE_INCHES * len(shown)), layout="constrained")
    axis = figure.subplots()
    for place, speed in enumerate(shown):
        ratio = speed.ratio
        bars = [[ratio.mid - ratio.low], [ratio.high - ratio.mid]]
        axis.errorbar([ratio.mid], [place], xerr=bars, fmt="o", ms=5, color=PALETTE[0], elinewidth=1.6, capsize=2.5)
        if speed.goal is not None:
            axis.plot([speed.goal], [place], marker="|", ms=11, mew=2, color=EMPHASIS)
        axis.annotate(
            f"{_digits(ratio.mid)}   {_time(speed.ms)}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.0,
            color=SOFT,
        )
    axis.set_yticks(range(len(shown)), [speed.title for speed in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    logarithmic(axis, "x")
    axis.set_xlabel("ratio of times")
    quiet_axis(axis, grid="x")
    goal = Line2D([], [], marker="|", ms=11, mew=2, color=EMPHASIS, lw=0, label="goal")
    ours = Line2D([], [], marker="o", ms=5, color=PALETTE[0], lw=0, label="measured")
    legend_below(figure, [ours, goal])
    return figure


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _time(ms: Spread) -> str:
    if ms.mid >= 1e3:
        return f"{ms.mid / 1e3:.2g} s"
    return f"{ms.mid:.3g} ms"
