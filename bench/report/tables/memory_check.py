"""Bytes of real training steps on a CPU beside the simulated ones."""

from collections.abc import Sequence

from bench.records import GIB
from bench.records.paper import Paper
from bench.report.drawing.layout import Cell, Row, Table, answer, shape_text
from bench.report.selection.records import CheckEntry
from bench.report.tables.memory_detail import policy_title

NAMES = ("Task", "Model", "Keeps", "simulated, GiB", "profiled, GiB", "difference, maps", "explained")


def check_table(entries: Sequence[CheckEntry], paper: Paper) -> Table | None:
    """Lay out every check, one block per task and image size; None where there is none.

    Args:
        entries: check records.
        paper: names and order.
    """
    if not entries:
        return None
    blocks: dict[tuple[str, tuple[int, int]], list[CheckEntry]] = {}
    for entry in sorted(entries, key=lambda entry: _place(entry, paper)):
        blocks.setdefault((entry.spec.task, entry.spec.image_shape), []).append(entry)
    body = []
    for (task, shape), mine in blocks.items():
        title = f"{paper.task_title(task)} {shape_text(shape)}"
        body += [_row("" if place else title, entry, paper, rule=not place) for place, entry in enumerate(mine)]
    return Table(
        name="memory-check",
        title="Peak of live bytes in a training step: simulated, and profiled in a real step on a CPU.",
        columns="lll" + "r" * (len(NAMES) - 3),
        header=(Row(tuple(map(Cell, NAMES))),),
        body=tuple(body),
        notes=(
            f"Float32, batch {entries[0].spec.batch}, unrounded sizes, as many solver steps as in the trace. "
            "Profiled: all requests to torch's allocator, by torch's profiler.",
            "Difference: profiled minus simulated, in feature maps of 64 channels. Explained: yes if at most the "
            "scratch of a CPU convolution, which copies one map and one filter into its own layout and is in no trace. "
            "A quarter of a map corresponds to an image's few channels padded to 16.",
        ),
    ).with_legend()


def _place(entry: CheckEntry, paper: Paper) -> tuple[int, tuple[int, int], int, str, str]:
    spec, models = entry.spec, [model.key for model in paper.models]
    task = paper.in_order({spec.task, *(task.key for task in paper.tasks)}).index(spec.task)
    model = models.index(spec.model) if spec.model in models else len(models)
    return task, spec.image_shape, model, spec.model, spec.policy


def _row(title: str, entry: CheckEntry, paper: Paper, *, rule: bool) -> Row:
    spec, values = entry.spec, entry.values
    cells = [
        Cell(title),
        Cell(paper.model_title(spec.model)),
        Cell(policy_title(spec.model, spec.policy)),
    ]
    texts: list[str | None] = [None] * 4
    if values is not None:
        texts = [f"{count / GIB:.4f}" for count in (values.simulated_bytes, values.profiled_bytes)]
        texts += [f"{values.difference_maps:+.2f}", "yes" if values.explained else "no"]
    return Row((*cells, *(answer(text, [entry]) for text in texts)), rule=rule)
