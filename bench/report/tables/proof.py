"""Memory of real GPUs as a table: every prediction's errors against published measurements, and replayed histories."""

from collections.abc import Sequence

from bench.records import MIB, ProofValues
from bench.report.drawing.layout import DIRTY, Cell, Row, Table
from bench.report.selection.predictions import OURS, Prediction, predictions
from bench.report.selection.records import ProofEntry

MINUS = "\N{MINUS SIGN}"
NAMES = ("Prediction", "constant, MiB", "median error, MiB", "99 % within, MiB")


def proof_table(entries: Sequence[ProofEntry]) -> Table | None:
    """Lay out every prediction's errors, one block per file of runs; None where there are no runs.

    Args:
        entries: proof records.
    """
    body = [row for entry in entries for row in _block(entry)]
    if not body:
        return None
    notes = (
        "Errors: absolute, over the runs that were not used for fitting. Constant: memory of the process beside the "
        "prediction. For perceptrons: the median over the first runs, fitted per prediction. For classifiers: from "
        "other runs on the same machine (the perceptrons, and light networks for cuDNN's kernels).",
        "Classifiers were trained with cuDNN 8 and TensorFloat-32. Assumed workspaces: non-fused Winograd's tiles (9 "
        "bytes per number) for 3x3 filters, the middle of cuDNN 9's range for others. These rules were chosen on these "
        "runs.",
        "Fake tensors alone: peak of the bytes that a traced step requests. The simulator replays the same requests "
        "through CUDA's allocator.",
    )
    header = (Row(tuple(map(Cell, NAMES))),)
    title = "Peak memory of training runs on a real GPU: errors of the simulator and of other predictions."
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
    return [Row((_title(text, entry),), rule=True), *map(_row, found), *_named(values)]


def _named(values: ProofValues) -> list[Row]:
    """Return one row per named run: measured, simulated, difference."""
    if not values.names:
        return []
    ours = predictions(values)[0].predicted_bytes
    head = Row((Cell("  Run"), Cell("measured, MiB"), Cell("simulated, MiB"), Cell("difference")), rule=True)
    rows = [
        Row(
            (
                Cell(f"  {name}"),
                Cell(f"{took / MIB:,.0f}"),
                Cell(f"{said / MIB:,.0f}"),
                Cell(_percent(said / took)),
            )
        )
        for name, took, said in zip(values.names, values.measured_bytes, ours, strict=True)
    ]
    return [head, *rows]


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %".replace("-", MINUS)


def _title(text: str, entry: ProofEntry) -> Cell:
    return Cell(text, span=len(NAMES), align="l", mark=DIRTY if entry.provenance.dirty else "")


def _row(prediction: Prediction) -> Row:
    sizes = (prediction.constant_bytes, prediction.median_bytes, prediction.high_bytes)
    texts = (f"  {prediction.title}", *(f"{size / MIB:,.1f}".replace("-", MINUS) for size in sizes))
    return Row(tuple(Cell(text, bold=prediction.title == OURS) for text in texts))
