"""The largest training batches as a figure: the paper's, ours, and ours with stages recomputed."""

from collections.abc import Iterable, Sequence
from math import log2
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.drawing.layout import shape_text
from bench.report.drawing.style import BAND, SOFT, colors, quiet_axis
from bench.report.selection.records import MemoryEntry, grouped, newest
from bench.report.tables.table3 import MemoryStudy

NOTHING_FITS = -1.0
"""Place of a batch of 0 on the logarithmic axis, one step below a batch of 1."""

CAP_INCHES = 0.25
"""Width that one model takes under one cap: marks of neighbours stay apart."""

SPREAD = 0.8
"""Share of a cap's room that its models take together."""


def memory_figure(study: MemoryStudy) -> Figure:
    """Draw the largest batch of every model under every cap: the paper's, ours, and ours recomputing stages.

    Args:
        study: the memory records and the paper's values.
    """
    blocks = study.blocks()
    room = CAP_INCHES * len(study.models)
    widths = [max(2.2, room * len(study.caps(task, study.of_block(task, shape)))) for task, shape in blocks]
    figure = Figure(figsize=(1.1 + sum(widths), 4.1), layout="constrained")
    axes = figure.subplots(1, len(blocks), sharey=True, squeeze=False, width_ratios=widths)[0]
    tallest = 1.0
    for axis, (task, shape) in zip(axes, blocks, strict=True):
        tallest = max(tallest, _memory_panel(axis, study, task, shape))
        axis.set_title(study.paper.task_title(task) + (f", {shape_text(shape)}" if shape else ""), loc="left")
    ticks = [NOTHING_FITS, *range(int(tallest) + 2)]
    axes[0].set_yticks(ticks, ["does not fit", *(f"{2 ** int(tick)}" for tick in ticks[1:])])
    axes[0].set_ylim(NOTHING_FITS - 0.5, ticks[-1])
    axes[0].set_ylabel("largest training batch")
    _memory_legend(figure, study)
    return figure


def _memory_panel(axis: Axes, study: MemoryStudy, task: str, shape: tuple[int, int] | None) -> float:
    """Draw one task and return the highest place that is taken."""
    shades, entries = colors(study.models), study.of_block(task, shape)
    caps, highest = study.caps(task, entries), 0.0
    by_mark = grouped(entries, lambda entry: (entry.spec.cap_bytes, entry.spec.model))
    for place, (cap, _) in enumerate(caps):
        if place % 2 == 0:
            axis.axvspan(place - 0.5, place + 0.5, color=BAND, lw=0, zorder=0)
        for rank, model in enumerate(study.models):
            x = place + SPREAD * ((rank + 0.5) / len(study.models) - 0.5)
            marks = [*_our_marks(by_mark.get((cap, model), []), shades[model])]
            paper = study.paper.largest_batch(task, model, cap)
            if paper is not None:
                marks.append(
                    (
                        _level(paper),
                        {
                            "marker": "D",
                            "ms": 8.0,
                            "mfc": "white",
                            "mec": shades[model],
                            "mew": 1.3,
                            "zorder": 2,
                        },
                    )
                )
            if not marks:
                continue
            levels = [level for level, _ in marks]
            highest = max(highest, *levels)
            axis.plot([x, x], [min(levels), max(levels)], color=shades[model], lw=1.2, alpha=0.45, zorder=1)
            for level, look in marks:
                axis.plot([x], [level], ls="none", **look)
    axis.set_xticks(range(len(caps)), [label for _, label in caps])
    axis.set_xlim(-0.5, len(caps) - 0.5)
    quiet_axis(axis, grid="y")
    return highest


def _our_marks(entries: Sequence[MemoryEntry], shade: str) -> Iterable[tuple[float, dict[str, Any]]]:
    for policy, fill in (("paper", shade), ("recompute", "white")):
        for backend, marker in (("simulate", "o"), ("cuda", "s")):
            alike = [entry for entry in entries if entry.spec.policy == policy and entry.spec.backend == backend]
            best = newest(alike)
            if best is not None and best.values is not None:
                look = {"marker": marker, "ms": 5.0, "mfc": fill, "mec": shade, "mew": 1.3, "zorder": 3}
                yield _level(best.values.max_batch), look


def _level(batch: int) -> float:
    return log2(batch) if batch else NOTHING_FITS


def _memory_legend(figure: Figure, study: MemoryStudy) -> None:
    shades = colors(study.models)
    lines = [Line2D([], [], color=shades[model], lw=4, label=study.paper.model_title(model)) for model in study.models]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), handlelength=1.2)
    marks = [Line2D([], [], marker="D", ms=8, mfc="white", mec=SOFT, mew=1.3, ls="none", label="the paper's")]
    kinds = {(entry.spec.backend, entry.spec.policy) for entry in study.entries}
    for backend, marker, words in (("simulate", "o", "simulated"), ("cuda", "s", "on a GPU")):
        for policy, fill, more in (("paper", SOFT, ""), ("recompute", "white", ", stages recomputed")):
            if (backend, policy) in kinds:
                look: dict[str, Any] = {"marker": marker, "ms": 5, "mfc": fill, "mec": SOFT, "mew": 1.3}
                marks.append(Line2D([], [], ls="none", label=f"ours, {words}{more}", **look))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), handletextpad=0.3)
