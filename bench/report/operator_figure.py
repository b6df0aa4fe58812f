"""The operators' times as a figure: a row of panels an operator and scan, a panel a direction and batch."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report.operator_times import DIRECTIONS, OperatorTimes, library_title
from bench.report.style import BAND, INK, PALETTE, SOFT, quiet_axis
from bench.values import Direction

OURS, THEIRS = PALETTE[0], "#8c8c8c"
LINE_INCHES, TITLE_INCHES = 0.24, 0.62
"""Height of a library, and of what stands above and below a panel."""
ROOM = 2.6
"""Factor that a row's time axis goes beyond the slowest dot: the ratio stands there."""


def operator_figure(shown: Sequence[OperatorTimes]) -> Figure:
    """Draw milliseconds an image on a logarithmic axis, which all panels of a row share.

    Args:
        shown: what ``shown_operators`` chose; at least one.
    """
    columns = [(direction, batch) for direction in DIRECTIONS for batch in shown[0].entry.spec.batches]
    heights = [TITLE_INCHES + LINE_INCHES * len(times.libraries) for times in shown]
    figure = Figure(figsize=(1.8 + 2.1 * len(columns), 0.3 + sum(heights)), layout="constrained")
    rows = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, times in zip(rows, shown, strict=True):
        row.suptitle(times.title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
        axes = row.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (direction, batch) in zip(axes, columns, strict=True):
            _panel(axis, times, direction, batch)
            axis.set_title(f"{direction}, batch {batch}", loc="left", fontsize=8.5, fontweight="normal", color=SOFT)
        _time_axis(axes, times)
        _library_axis(axes[0], times)
    rows[-1].supxlabel("milliseconds an image", fontsize=9.0, color=INK)
    return figure


def _panel(axis: Axes, times: OperatorTimes, direction: Direction, batch: int) -> None:
    axis.axhspan(-0.5, 0.5, color=BAND, lw=0, zorder=0)
    for place, library in enumerate(times.libraries):
        ms, ratio = times.image_ms(library, direction, batch), times.ratio(library, direction, batch)
        if ms is None or ratio is None:
            axis.annotate("not called", (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=7)
            continue
        shade = OURS if library.library == "ours" else THEIRS
        bars = [[ms.mid - ms.low], [ms.high - ms.mid]]
        axis.errorbar([ms.mid], [place], xerr=bars, fmt="o", ms=5, color=shade, elinewidth=1.6, capsize=2.5)
        text = f"{ms.mid:.2g} ms" if place == 0 else f"{_factor(ratio.mid)}\N{MULTIPLICATION SIGN}"
        axis.annotate(
            text, (ms.high, place), (6, 0), textcoords="offset points", va="center", fontsize=7.5, color=shade
        )
    quiet_axis(axis, grid="x")


def _time_axis(axes: Sequence[Axes], times: OperatorTimes) -> None:
    """Scale a row's time axis to its slowest and fastest quartile, with labels at powers of ten."""
    found = [
        times.image_ms(library, direction, batch)
        for library in times.libraries
        for direction in DIRECTIONS
        for batch in times.entry.spec.batches
    ]
    low, high = min(spread.low for spread in found if spread), max(spread.high for spread in found if spread)
    axes[0].set_xscale("log")
    axes[0].set_xlim(low / 1.5, high * ROOM * (high / low) ** 0.12)
    axes[0].xaxis.set_major_locator(LogLocator())
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].xaxis.set_minor_locator(NullLocator())


def _library_axis(axis: Axes, times: OperatorTimes) -> None:
    names = [library_title(library) for library in times.libraries]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)  # ours on top
    for label, library in zip(axis.get_yticklabels(), times.libraries, strict=True):
        if library.library == "ours":
            label.set(color=OURS, fontweight="bold")


def _factor(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"
