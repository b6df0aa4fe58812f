"""Memory of a training step: every policy and precision, bytes per image, and disagreements with the paper."""

from collections.abc import Sequence
from itertools import product
from statistics import median

from bench.records import ALLOWANCE_BYTES, GIB
from bench.records.paper import Paper
from bench.report.drawing.layout import Cell, Row, Table, answer, bytes_text, listing, shape_text
from bench.report.selection.records import MemoryEntry, TimingEntry, newest
from bench.report.tables.table3 import SIMULATED, means_of
from bench.report.tables.table4_entries import sizes_text

POLICY_TITLES = {
    ("lu-dncnn", "recompute"): "checkpoint",
    ("lu-dncnn", "paper"): "all stages",
    ("", "paper"): "one graph",
    ("", "recompute"): "recompute",
}


def policy_title(model: str, policy: str) -> str:
    """Return in print the tensors that a model keeps for the backward pass."""
    return POLICY_TITLES.get((model, policy)) or POLICY_TITLES["", policy]


def memory_detail_table(entries: Sequence[MemoryEntry], paper: Paper, timing: Sequence[TimingEntry] = ()) -> Table:
    """Lay out the largest batches with their bounds, GiB per image beside what the paper's caps imply, and time.

    Args:
        entries: memory records.
        paper: names, order and Table 3.
        timing: timing records of one device, each task at one image size.
    """
    caps = sorted({entry.spec.cap_bytes for entry in entries})
    names = ["Task", "Model", "Keeps", "Precision", *map(bytes_text, caps), "GiB per image", "implied by paper"]
    names.append("s per image (batch)")
    body: list[Row] = []
    for task, shape in _blocks(entries, paper):
        mine = [entry for entry in entries if (entry.spec.task, entry.spec.image_shape) == (task, shape)]
        body += _block(f"{paper.task_title(task)} {shape_text(shape)}", mine, caps, paper, timing)
    means = {means_of(entry) for entry in entries}
    notes = (
        f"Backends: {listing(sorted(means))}." if means != {SIMULATED} else "All batches and bytes are simulated.",
        "Brackets after a batch: largest batch by the upper and by the lower bound of the simulated memory.",
        "GiB per image: growth of the requested peak per image. Implied by paper: range that the paper's batches under "
        "its three caps allow, with 0 to 0.6 GiB for everything else; at odds: no value satisfies all three.",
        *_timing_notes(timing, paper),
    )
    title = "Largest training batches with their bounds, and memory per image."
    return Table(
        "memory-detail",
        title,
        "llll" + "r" * (len(names) - 4),
        (Row(tuple(map(Cell, names))),),
        tuple(body),
        notes,
    ).with_legend()


def disagreements(entries: Sequence[MemoryEntry], paper: Paper) -> tuple[str, ...]:
    """Return one line per model and task whose batches differ from the paper's by more than one even step."""
    lines = []
    for (task, shape), model in product(_blocks(entries, paper), [model.key for model in paper.models]):
        mine = sorted(
            (entry for entry in entries if _asks(entry, task, shape, model)), key=lambda entry: entry.spec.cap_bytes
        )
        batches = [paper.largest_batch(task, model, entry.spec.cap_bytes) for entry in mine]
        pairs = [(e.values.max_batch, b) for e, b in zip(mine, batches, strict=True) if e.values and b is not None]
        if any(abs(_step(ours) - _step(theirs)) > 1 for ours, theirs in pairs):
            ours, theirs = ("/".join(map(str, numbers)) for numbers in zip(*pairs, strict=True))
            lines.append(
                f"{paper.model_title(model)}, {paper.task_title(task)}: ours {ours}, the paper's {theirs}. Our step "
                f"takes {_per_image(mine)} GiB per image, the paper's batches imply {implied(task, model, paper)}."
            )
    return tuple(lines)


def implied(task: str, model: str, paper: Paper) -> str:
    """Return the GiB per image that the paper's batches under its caps imply, '' where it has none.

    A cap C with batch b and next batch n implies between (C - 0.6) / n and C / b GiB per image, with at most 0.6 GiB
    for context and workspaces.
    """
    lows, highs = [], []
    for row in paper.max_batch:
        batch = row.values.get(model)
        if task in row.tasks and batch is not None:
            cap = row.cap_bytes[0]
            lows.append((cap - ALLOWANCE_BYTES) / _following(batch) / GIB)
            highs += [cap / batch / GIB] if batch else []
    if not lows:
        return ""
    low, high = max(lows), min(highs, default=float("inf"))
    return f"{min(low, high):.2f}-{max(low, high):.2f}" + ("" if low <= high else " (at odds)")


def _blocks(entries: Sequence[MemoryEntry], paper: Paper) -> list[tuple[str, tuple[int, int]]]:
    order = paper.in_order({entry.spec.task for entry in entries})
    found = {(entry.spec.task, entry.spec.image_shape) for entry in entries}
    return sorted(found, key=lambda block: (order.index(block[0]), block[1]))


def _block(
    title: str, entries: Sequence[MemoryEntry], caps: Sequence[int], paper: Paper, timing: Sequence[TimingEntry]
) -> list[Row]:
    known = [model.key for model in paper.models]
    models = known + sorted({entry.spec.model for entry in entries} - set(known))
    rows: list[Row] = []
    for model, policy, precision in product(models, ("paper", "recompute"), ("fp32", "bf16")):
        asked = (model, policy, precision)
        mine = [e for e in entries if (e.spec.model, e.spec.policy, e.spec.precision) == asked]
        if mine:
            cells = [
                Cell("" if rows else title),
                Cell(paper.model_title(model)),
                Cell(policy_title(model, policy)),
            ]
            cells.append(Cell(precision))
            cells += [_batch([entry for entry in mine if entry.spec.cap_bytes == cap]) for cap in caps]
            theirs = implied(mine[0].spec.task, model, paper) if asked[1:] == ("paper", "fp32") else ""
            rows.append(Row((*cells, Cell(_per_image(mine)), Cell(theirs), _time(mine[0], timing)), rule=not rows))
    return rows


def _batch(entries: Sequence[MemoryEntry]) -> Cell:
    best = newest(entries)
    if best is None or best.values is None:
        return answer(None, [best] if best else [])
    values = best.values
    spread = "" if values.sure_batch == values.possible_batch else f" ({values.sure_batch}-{values.possible_batch})"
    return answer(f"{values.max_batch}{spread}", [best])


def _per_image(entries: Sequence[MemoryEntry]) -> str:
    """Return the growth at the largest batch known, where it is steadiest."""
    known = [e.values for e in entries if e.values is not None and e.values.bytes_per_image is not None]
    best = max(known, key=lambda values: values.max_batch, default=None)
    return "" if best is None or best.bytes_per_image is None else f"{best.bytes_per_image / GIB:.2f}"


def _time(asked: MemoryEntry, timing: Sequence[TimingEntry]) -> Cell:
    """Return a training step's seconds per image, at the model's own largest batch where that was timed."""
    spec = asked.spec
    key = (spec.task, spec.model, spec.policy)
    found = [e for e in timing if (e.spec.task, e.spec.model, e.spec.policy) == key and e.values is not None]
    best = newest([e for e in found if e.spec.batch_rule == "maximum"] or found)
    if best is None or best.values is None or spec.precision != "fp32":  # no timing is in another precision
        return answer(None, [])
    seconds = median(best.values.train_step_s) / best.spec.batch
    return answer(f"{seconds:.3g} ({best.spec.batch})", [best])


def _timing_notes(timing: Sequence[TimingEntry], paper: Paper) -> list[str]:
    if not timing:
        return []
    caps = sorted({entry.spec.cap_bytes for entry in timing if entry.spec.cap_bytes})
    largest = f", the largest under {listing(map(bytes_text, caps))} where timed" if caps else ""
    where = sizes_text({entry.spec.task: entry.spec.image_shape for entry in timing}, paper)
    return [
        f"s per image: training step from initial weights on {timing[0].provenance.device}, {where}; in brackets "
        f"the batch{largest}."
    ]


def _asks(entry: MemoryEntry, task: str, shape: tuple[int, int], model: str) -> bool:
    spec = entry.spec
    asked = (spec.task, spec.image_shape, spec.model, spec.policy, spec.precision)
    return asked == (task, shape, model, "paper", "fp32")


def _step(batch: int) -> int:
    """Return a batch's place in 0, 1, 2, 4, 6, ..."""
    return batch if batch < 2 else 1 + batch // 2


def _following(batch: int) -> int:
    return batch + 1 if batch < 2 else batch + 2
