"""The race of ``bench.solvers`` as two tables: fixed-point methods on one map, gradient rules in a training step."""

from collections.abc import Sequence
from statistics import median

from bench.records import MIB, MethodRow, SolversValues
from bench.report.drawing.layout import DIRTY, MISSING, Cell, Row, Table, listing, shape_text
from bench.report.selection.records import SolversEntry, dominant
from bench.report.tables.table4 import milliseconds_text

LIBRARIES = {"ours": "ours", "torchdeq": "TorchDEQ", "deepinv": "deepinv"}
METHODS = {"anderson": "Anderson", "broyden": "Broyden", "picard": "plain iteration"}


def shown_races(entries: Sequence[SolversEntry]) -> list[SolversEntry]:
    """Return one record per size and tolerance, all of one device, with as many peers as possible.

    Args:
        entries: every race on record.
    """
    answered = [entry for entry in entries if entry.values is not None]
    chosen = dominant(
        answered,
        lambda entry: (entry.provenance.device, entry.spec.peers, entry.spec.batch, entry.spec.history),
        lambda entry: (entry.spec.image_shape, entry.spec.tolerance),
        lambda entry: len(entry.spec.peers),
    )
    newest: dict[tuple[tuple[int, int], float], SolversEntry] = {}
    for entry in sorted(chosen, key=lambda entry: entry.created):
        newest[entry.spec.image_shape, entry.spec.tolerance] = entry
    return [newest[key] for key in sorted(newest, key=lambda key: (key[0], -key[1]))]


def methods_table(races: Sequence[SolversEntry]) -> Table:
    """Lay out every library's methods, one block per size and tolerance.

    Args:
        races: what ``shown_races`` chose; at least one.
    """
    spec, peers = races[0].spec, listing(peer for entry in races for peer in entry.spec.peers)
    names = ("Evaluations", "Residual", "ms", "Overhead, ms", "ratio to TorchDEQ", "Peak MiB", "Gradient error")
    return Table(
        name="solvers",
        title=f"Fixed-point methods on LUSER-SW's map, {spec.batch} images per solve.",
        columns="ll" + "r" * len(names),
        header=(Row((Cell("Library"), Cell("Method"), *map(Cell, names))),),
        body=tuple(row for entry in races for row in _method_rows(entry)),
        notes=(
            f"Bold: ours. Peers: {peers or 'none installed'}; same map, same start, at most {spec.max_steps} "
            f"evaluations, Anderson with {spec.history} iterates.",
            "Residual: the largest of the batch, computed after the solve. deepinv stops on the change between "
            "iterates, the others on the residual.",
            "ms: median per solve. Overhead: time outside the map, and its ratio to the same method in TorchDEQ.",
            "Gradient error: of a whole LUSER-SW at 32\N{MULTIPLICATION SIGN}32 pixels with this solver in both "
            "passes, relative to unrolling in float64.",
        ),
    ).with_legend()


def rules_table(races: Sequence[SolversEntry]) -> Table:
    """Lay out the gradient rules, one block per size and tolerance.

    Args:
        races: what ``shown_races`` chose; at least one.
    """
    names = ("s per step", "ratio to one-graph", "Kept MiB", "Peak MiB", "Gradient error")
    batch = listing(entry.values.step_batch for entry in races if entry.values)
    return Table(
        name="gradients",
        title=f"Gradient rules in a whole LUSER-SW training step, {batch} images.",
        columns="l" + "r" * len(names),
        header=(Row((Cell("Rule"), *map(Cell, names))),),
        body=tuple(row for entry in races for row in _rule_rows(entry)),
        notes=(
            "Kept: tensors kept from the forward for the backward pass. Peak: of a step, without weights and optimiser "
            "state.",
            "Ratio: median over pairs of interleaved steps. Unrolled (12 plain iterations) was timed separately.",
            "Gradient error: relative to 60 unrolled steps in float64, at 32\N{MULTIPLICATION SIGN}32 pixels.",
        ),
    ).with_legend()


def _block(entry: SolversEntry, columns: int) -> Row:
    text = f"{shape_text(entry.spec.image_shape)} pixels, tolerance {entry.spec.tolerance:g}"
    mark = DIRTY if entry.provenance.dirty else ""
    return Row((Cell(text, span=columns, align="l", mark=mark),), rule=True)


def _method_rows(entry: SolversEntry) -> list[Row]:
    assert entry.values is not None
    rows = [_block(entry, 9)]
    for row in entry.values.methods:
        cells = (
            f"  {LIBRARIES.get(row.library, row.library)}",
            METHODS.get(row.method, row.method),
            str(row.evaluations),
            f"{row.residual:.1e}",
            milliseconds_text(median(row.solve_s)),
            milliseconds_text(median(row.overhead_s)),
            _share_of_torchdeq(row, entry.values),
            f"{row.peak_bytes / MIB:.1f}",
            f"{row.gradient_error:.1e}",
        )
        rows.append(Row(tuple(Cell(text, bold=row.library == "ours") for text in cells)))
    return rows


def _share_of_torchdeq(row: MethodRow, values: SolversValues) -> str:
    peers = [peer for peer in values.methods if (peer.library, peer.method) == ("torchdeq", row.method)]
    if not peers:
        return MISSING
    ratios = [mine / theirs for mine, theirs in zip(row.overhead_s, peers[0].overhead_s, strict=True)]
    return f"{median(ratios):.2f}"


def _rule_rows(entry: SolversEntry) -> list[Row]:
    assert entry.values is not None
    rows = [_block(entry, 6)]
    reference = next(row.step_s for row in entry.values.rules if row.rule == "one-graph")
    for row in entry.values.rules:
        ratio = median(mine / theirs for mine, theirs in zip(row.step_s, reference, strict=True))
        cells = (
            f"  {row.rule}",
            f"{median(row.step_s):.3g}",
            f"{ratio:.3f}",
            f"{row.kept_bytes / MIB:.1f}",
            f"{row.peak_bytes / MIB:.1f}",
            f"{row.gradient_error:.1e}",
        )
        rows.append(Row(tuple(map(Cell, cells))))
    return rows
