"""The operators of several libraries as a table: times, ratios to ours, storage, differences."""

import csv
import io
from collections.abc import Sequence

from bench.records import LibraryRow
from bench.report.drawing.layout import DIRTY, MISSING, Cell, Row, Table, listing
from bench.report.tables.operator_times import DIRECTIONS, OperatorTimes, library_title
from bench.report.tables.table4 import milliseconds_text

CSV_FIELDS = (
    *("operator", "scan", "height", "width", "library", "method", "direction", "batch", "calls"),
    *("image_ms", "image_ms_low", "image_ms_high", "ratio", "ratio_low", "ratio_high", "stored_bytes", "build_s"),
    *("difference", "device", "threads", "torch", "commit", "dirty"),
)


def operators_table(shown: Sequence[OperatorTimes]) -> Table:
    """Lay out every library, one block per operator and scan.

    Args:
        shown: what ``shown_operators`` chose; at least one.
    """
    batches = shown[0].entry.spec.batches
    columns = [f"{direction.capitalize()}, batch {batch}" for direction in DIRECTIONS for batch in batches]
    top = [Cell(), *(Cell(text, span=2, align="c") for text in columns), Cell(), Cell()]
    top.append(Cell("Difference", span=2, align="c"))
    names = ["ms", "ratio"] * len(columns) + ["MB", "Build s", "forward", "adjoint"]
    peers = listing(peer for times in shown for peer in times.entry.spec.peers)
    threads = shown[0].entry.provenance.threads
    return Table(
        name="operators-table",
        title="Operators of every library: milliseconds per image, and the ratio to ours.",
        columns="l" + "r" * len(names),
        header=(Row(tuple(top)), Row((Cell("Library"), *map(Cell, names)))),
        body=tuple(row for times in shown for row in _block(times, 1 + len(names))),
        notes=(
            f"Bold: ours. Peers: {peers or 'none installed'}. Threads: {threads}; float32; calls interleaved.",
            "ms: median. Ratio: of the medians (brackets: from the quartiles of both). MB: stored tables. Build s: "
            "seconds to build them.",
            "Difference: relative l2 distance to ours on a smooth image, interpolated to our detectors where the "
            "library's differ; adjoints up to the best common factor, since libraries scale them differently.",
        ),
    ).with_legend()


def operators_csv(shown: Sequence[OperatorTimes]) -> str:
    """Return every number of the table with its quartiles and origin.

    Args:
        shown: what ``shown_operators`` chose.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for times in shown:
        assert times.entry.values is not None
        libraries = {(row.library, row.method): row for row in times.libraries}
        for row in times.entry.values.applications:
            library = libraries[row.library, row.method]
            ms, ratio = (of(library, row.direction, row.batch) for of in (times.image_ms, times.ratio))
            assert ms is not None
            assert ratio is not None
            spec, origin = times.entry.spec, times.entry.provenance
            fields: dict[str, object] = {"operator": spec.operator, "scan": spec.scan}
            fields |= {"height": spec.image_shape[0], "width": spec.image_shape[1], "library": row.library}
            fields |= {"method": row.method, "direction": row.direction, "batch": row.batch, "calls": len(row.call_s)}
            for name, spread in (("image_ms", ms), ("ratio", ratio)):
                fields |= {name: f"{spread.mid:.5g}", f"{name}_low": f"{spread.low:.5g}"}
                fields[f"{name}_high"] = f"{spread.high:.5g}"
            difference = getattr(library, f"{row.direction}_difference")
            fields |= {"stored_bytes": library.stored_bytes, "build_s": f"{library.build_s:.3g}"}
            fields |= {"difference": f"{difference:.2e}", "device": origin.device, "threads": origin.threads}
            writer.writerow(fields | {"torch": origin.torch, "commit": origin.commit, "dirty": origin.dirty})
    return text.getvalue()


def _block(times: OperatorTimes, columns: int) -> list[Row]:
    mark = DIRTY if times.entry.provenance.dirty else ""
    rows = [Row((Cell(times.title, span=columns, align="l", mark=mark),), rule=True)]
    return rows + [_library_row(times, library) for library in times.libraries]


def _library_row(times: OperatorTimes, library: LibraryRow) -> Row:
    first = library == times.libraries[0]
    texts = [f"  {library_title(library)}"]
    for direction in DIRECTIONS:
        for batch in times.entry.spec.batches:
            ms, ratio = times.image_ms(library, direction, batch), times.ratio(library, direction, batch)
            texts.append(milliseconds_text(ms.mid / 1e3) if ms else MISSING)
            texts.append("1" if first else ratio.text if ratio else MISSING)
    texts += [f"{library.stored_bytes / 1e6:.1f}", f"{library.build_s:.2g}"]
    differences = (library.forward_difference, library.adjoint_difference)
    texts += ["0" if difference == 0 else f"{difference:.0e}" for difference in differences]
    return Row(tuple(Cell(text, bold=library.library == "ours") for text in texts))
