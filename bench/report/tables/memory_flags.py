"""Largest batches by the flags that choose CUDA's kernels: TensorFloat-32, half precision, memory format."""

from collections.abc import Sequence

from bench.records.paper import Paper
from bench.report.drawing.layout import Cell, Row, Table, bytes_text, shape_text
from bench.report.selection.records import MemoryEntry

SETTINGS = {
    ("fp32", False, False): "float32 (all other tables)",
    ("fp32", True, False): "TensorFloat-32",
    ("fp32", False, True): "float32, channels last",
    ("fp32", True, True): "TensorFloat-32, channels last",
    ("bf16", False, False): "bfloat16",
    ("bf16", False, True): "bfloat16, channels last",
}
"""By precision, TensorFloat-32 and channels last."""
MODEL = "luser-sw"


def flags_table(entries: Sequence[MemoryEntry], paper: Paper) -> Table | None:
    """Lay out LUSER-SW's largest batches under every setting, beside the paper's; None where there is one setting.

    Args:
        entries: memory records of every setting.
        paper: names, order and Table 3.
    """
    recomputed = [entry for entry in entries if (entry.spec.model, entry.spec.policy) == (MODEL, "recompute")]
    mine = [entry for entry in recomputed if not entry.spec.expandable_segments]
    if len({_setting(entry) for entry in mine}) < 2:
        return None
    caps = sorted({entry.spec.cap_bytes for entry in mine})
    blocks: dict[tuple[str, tuple[int, int]], list[MemoryEntry]] = {}
    for entry in sorted(mine, key=lambda entry: _order(entry.spec.task, paper)):
        blocks.setdefault((entry.spec.task, entry.spec.image_shape), []).append(entry)
    body = [row for block, found in blocks.items() for row in _block(*block, found, caps, paper)]
    names = ("Task", "Setting", *map(bytes_text, caps), "ratio to paper")
    return Table(
        name="memory-flags",
        title=f"{paper.model_title(MODEL)}, stages recomputed: largest batches by the flags that select kernels.",
        columns="ll" + "r" * (len(names) - 2),
        header=(Row(tuple(map(Cell, names))),),
        body=tuple(body),
        notes=(
            "Simulated, with the workspaces of the first engine that cuDNN 9.19 offers on an H100. Brackets: largest "
            "batch if convolutions without room for their workspace use slower engines.",
            "Ratio to paper: smallest over the caps.",
        ),
    ).with_legend()


def _setting(entry: MemoryEntry) -> tuple[str, bool, bool]:
    return entry.spec.precision, entry.spec.tf32, entry.spec.channels_last


def _order(task: str, paper: Paper) -> int:
    names = [known.key for known in paper.tasks]
    return names.index(task) if task in names else len(names)


def _block(
    task: str, shape: tuple[int, int], entries: Sequence[MemoryEntry], caps: Sequence[int], paper: Paper
) -> list[Row]:
    title, rows = f"{paper.task_title(task)} {shape_text(shape)}", list[Row]()
    for setting, text in SETTINGS.items():
        found = {e.spec.cap_bytes: e for e in entries if _setting(e) == setting and e.values}
        if found:
            ratios = [_ratio(entry, paper) for entry in found.values()]
            known = [ratio for ratio in ratios if ratio is not None]
            least = f"{min(known):.1f}" if known else ""
            cells = [Cell(_batch(found[cap]) if cap in found else "") for cap in caps]
            rows.append(Row((Cell("" if rows else title), Cell(text), *cells, Cell(least)), rule=not rows))
    return rows


def _batch(entry: MemoryEntry) -> str:
    assert entry.values is not None
    slower = entry.values.slower_batch
    more = f" ({slower})" if slower is not None and slower > entry.values.max_batch else ""
    return f"{entry.values.max_batch or '-'}{more}"


def _ratio(entry: MemoryEntry, paper: Paper) -> float | None:
    theirs = paper.largest_batch(entry.spec.task, entry.spec.model, entry.spec.cap_bytes)
    return entry.values.max_batch / theirs if theirs and entry.values else None
