"""Memory of real GPUs as a table: how far every prediction is from what others measured, and histories that replay."""

from collections.abc import Sequence

from bench.report.choice import ProofEntry
from bench.report.layout import DIRTY, Cell, Row, Table
from bench.report.predictions import OURS, Prediction, predictions
from bench.sizes import MIB

MINUS = "\N{MINUS SIGN}"
NAMES = ("Prediction", "constant, MiB", "median error, MiB", "99 % within, MiB")


def proof_table(entries: Sequence[ProofEntry]) -> Table | None:
    """Lay out every prediction's errors, a block a file of runs; None where there are no runs.

    Args:
        entries: proof records.
    """
    body = [row for entry in entries for row in _block(entry)]
    if not body:
        return None
    notes = (
        "Errors: absolute, of the runs that nothing was fitted to. Constant: the median of measured minus predicted "
        "over the first runs, fitted for every prediction alike.",
        "Fake tensors alone: the peak of the bytes that a traced step asks for. The simulator replays the same "
        "requests through CUDA's allocator.",
    )
    header = (Row(tuple(map(Cell, NAMES))),)
    title = "Peak memory of training runs on a real GPU: errors of the simulator and of others."
    return Table("proof-table", title, "lrrr", header, (*_histories(entries), *body), notes).with_legend()


def _histories(entries: Sequence[ProofEntry]) -> list[Row]:
    rows = []
    for entry in entries:
        if entry.values and (found := entry.values.histories):
            same = sum(row.replayed for row in found)
            text = f"Allocators' histories: {same} of {len(found)} replay to the byte"
            rows.append(Row((_title(text, entry),), rule=True))
    return rows


def _block(entry: ProofEntry) -> list[Row]:
    values = entry.values
    if values is None or not values.measured_bytes:
        return []
    found = predictions(values)
    text = f"{entry.spec.file}: {len(values.measured_bytes):,} runs, {len(found[0].error_bytes):,} of them predicted"
    return [Row((_title(text, entry),), rule=True), *map(_row, found)]


def _title(text: str, entry: ProofEntry) -> Cell:
    return Cell(text, span=len(NAMES), align="l", mark=DIRTY if entry.provenance.dirty else "")


def _row(prediction: Prediction) -> Row:
    sizes = (prediction.constant_bytes, prediction.median_bytes, prediction.high_bytes)
    texts = (f"  {prediction.title}", *(f"{size / MIB:,.1f}".replace("-", MINUS) for size in sizes))
    return Row(tuple(Cell(text, bold=prediction.title == OURS) for text in texts))
