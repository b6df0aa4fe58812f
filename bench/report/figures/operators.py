"""The operators' times as a figure: one row per operator and scan, one panel per direction and batch."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.records import Direction
from bench.report.drawing.style import BAND, INK, PALETTE, SOFT, logarithmic, quiet_axis
from bench.report.tables.operator_times import DIRECTIONS, OperatorTimes, library_title

OURS, THEIRS = PALETTE[0], "#7a7a7a"
LINE_INCHES, TITLE_INCHES = 0.24, 0.72
"""Height of a library's line, and of the room above and below a panel."""
ROOM = 2.6
"""Factor by which a row's time axis extends beyond the slowest dot, to make room for the ratio."""


def operator_figure(shown: Sequence[OperatorTimes]) -> Figure:
    """Draw milliseconds per image on a logarithmic axis, which all panels of a row share.

    Args:
        shown: what ``shown_operators`` chose; at least one.
    """
    columns = [(direction, batch) for direction in DIRECTIONS for batch in shown[0].entry.spec.batches]
    heights = [len(times.libraries) for times in shown]
    size = 1.8 + 2.1 * len(columns), 0.3 + TITLE_INCHES * len(shown) + LINE_INCHES * sum(heights)
    figure = Figure(figsize=size, layout="constrained")
    options: dict[str, Any] = {"sharex": "row", "sharey": "row", "squeeze": False, "height_ratios": heights}
    for axes, times in zip(figure.subplots(len(shown), len(columns), **options), shown, strict=True):
        for axis, (direction, batch) in zip(axes, columns, strict=True):
            _panel(axis, times, direction, batch)
            # The empty line above makes room for the row's title, which may be wider than its panel.
            title = axis.set_title(f"\n{direction}, batch {batch}", loc="left", linespacing=2.2)
            title.set(fontsize=8.5, fontweight="normal", color=SOFT)
        _time_axis(axes, times)
        _library_axis(axes[0], times)
        heading = axes[0].annotate(times.title, (0, 1), (0, 23), textcoords="offset points", xycoords="axes fraction")
        heading.set(fontsize=9.5, fontweight="bold", in_layout=False)
    figure.supxlabel("milliseconds per image", fontsize=9.0, color=INK)
    return figure


def _panel(axis: Axes, times: OperatorTimes, direction: Direction, batch: int) -> None:
    axis.axhspan(-0.5, 0.5, color=BAND, lw=0, zorder=0)
    for place, library in enumerate(times.libraries):
        ms, ratio = times.image_ms(library, direction, batch), times.ratio(library, direction, batch)
        if ms is None or ratio is None:
            text = axis.annotate("too slow to call", (0.02, place), xycoords=("axes fraction", "data"), va="center")
            text.set(fontsize=7.5, color=SOFT, fontstyle="italic")
            continue
        shade = OURS if library.library == "ours" else THEIRS
        bars = [[ms.mid - ms.low], [ms.high - ms.mid]]
        axis.errorbar([ms.mid], [place], xerr=bars, fmt="o", ms=5, color=shade, elinewidth=1.6, capsize=2.5)
        words = f"{ms.mid:.2g} ms" if place == 0 else f"{_factor(ratio.mid)}\N{MULTIPLICATION SIGN}"
        label = axis.annotate(words, (ms.high, place), (6, 0), textcoords="offset points", va="center", color=shade)
        label.set(fontsize=7.5, path_effects=[withStroke(linewidth=2.5, foreground="white")])
    quiet_axis(axis, grid="x")


def _time_axis(axes: Sequence[Axes], times: OperatorTimes) -> None:
    """Scale a row's time axis to its slowest and fastest quartile, with labels at few round times."""
    found = [
        times.image_ms(library, direction, batch)
        for library in times.libraries
        for direction in DIRECTIONS
        for batch in times.entry.spec.batches
    ]
    low, high = min(spread.low for spread in found if spread), max(spread.high for spread in found if spread)
    logarithmic(axes[0], "x")
    axes[0].set_xlim(low / 1.5, high * ROOM * (high / low) ** 0.12)


def _library_axis(axis: Axes, times: OperatorTimes) -> None:
    names = [library_title(library) for library in times.libraries]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)  # ours on top
    for label, library in zip(axis.get_yticklabels(), times.libraries, strict=True):
        if library.library == "ours":
            label.set(color=OURS, fontweight="bold")


def _factor(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"
