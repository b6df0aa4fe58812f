"""The records of ``bench.operators`` for the report: choice of records, times per image, ratios to ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.records import ApplicationRow, Direction, LibraryRow
from bench.report.drawing.layout import shape_text
from bench.report.selection.records import OperatorsEntry, dominant

DIRECTIONS: tuple[Direction, ...] = ("forward", "adjoint")
TITLES = {"radon": "Radon", "blur": "Gaussian blur", "fourier": "Subsampled Fourier"}
SCANS = {"kpi": "kπ/{angles}", "lodopab": "(k + 0.1)π/{angles}", "1000": "kπ/{angles}"}
LIBRARIES = {"astra": "ASTRA", "scipy": "SciPy"}


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles around it."""

    low: float
    mid: float
    high: float

    @property
    def text(self) -> str:
        """The median with its quartiles in brackets, to two digits."""
        return f"{_short(self.mid)} ({_short(self.low)}\N{EN DASH}{_short(self.high)})"

    @property
    def factor(self) -> str:
        """The same with multiplication signs: '31x (30-33x)'."""
        cross = "\N{MULTIPLICATION SIGN}"
        return f"{_short(self.mid)}{cross} ({_short(self.low)}\N{EN DASH}{_short(self.high)}{cross})"


@dataclass(frozen=True)
class OperatorTimes:
    """The times of one record.

    Attributes:
        entry: a record with values.
    """

    entry: OperatorsEntry

    @property
    def libraries(self) -> tuple[LibraryRow, ...]:
        """Every library that took part, ours first."""
        assert self.entry.values is not None
        return self.entry.values.libraries

    @property
    def title(self) -> str:
        """Operator, sizes and scan in print."""
        spec = self.entry.spec
        title = f"{TITLES.get(spec.operator, spec.operator)}, {shape_text(spec.image_shape)}"
        if spec.operator != "radon":
            return title
        _, angles, detectors = spec.data_shape
        scan = SCANS.get(spec.scan, spec.scan).format(angles=angles)
        return f"{title}, {angles} angles {scan}, {detectors} detectors"

    def image_ms(self, library: LibraryRow, direction: Direction, batch: int) -> Spread | None:
        """Return milliseconds per image; None where the library was not called at this batch."""
        row = self._row(library, direction, batch)
        if row is None:
            return None
        low, mid, high = np.quantile(row.call_s, [0.25, 0.5, 0.75]) * 1e3 / batch
        return Spread(float(low), float(mid), float(high))

    def ratio(self, library: LibraryRow, direction: Direction, batch: int) -> Spread | None:
        """Return a library's time divided by ours; the spread combines both."""
        theirs, ours = (self.image_ms(row, direction, batch) for row in (library, self.libraries[0]))
        if theirs is None or ours is None:
            return None
        return Spread(theirs.low / ours.high, theirs.mid / ours.mid, theirs.high / ours.low)

    def _row(self, library: LibraryRow, direction: Direction, batch: int) -> ApplicationRow | None:
        assert self.entry.values is not None
        wanted = (library.library, library.method, direction, batch)
        rows = self.entry.values.applications
        return next((row for row in rows if (row.library, row.method, row.direction, row.batch) == wanted), None)


def shown_operators(entries: Sequence[OperatorsEntry]) -> list[OperatorTimes]:
    """Return one record per operator and scan, all of one device, with as many libraries as possible.

    Args:
        entries: every record of operators; those without values are left out.
    """
    answered = [entry for entry in entries if entry.values is not None]
    chosen = dominant(
        answered,
        lambda entry: (entry.provenance.device, entry.provenance.threads),
        _subject,
        lambda entry: len(entry.spec.peers),
    )
    best: dict[tuple[str, str], OperatorsEntry] = {}
    for entry in sorted(chosen, key=lambda entry: (*entry.spec.image_shape, len(entry.spec.peers), entry.created)):
        best[_subject(entry)] = entry
    order = [*((operator, scan) for operator in TITLES for scan in (*SCANS, "paper")), *sorted(best)]
    return [OperatorTimes(best[subject]) for subject in dict.fromkeys(order) if subject in best]


def library_title(library: LibraryRow) -> str:
    """Return a library's name in print, with the method where it has several."""
    name = LIBRARIES.get(library.library, library.library)
    return f"{name}, {library.method}" if library.method else name


def times_summary(times: OperatorTimes) -> str:
    """Summarise a record in sentences: speedup over every library, cost of doubling, storage.

    Args:
        times: one operator.
    """
    ours, *others = times.libraries
    sentences = [_comparison(times, library) for library in others if library.library != "ours"]
    sentences += [_linear_cost(times)]
    if ours.stored_bytes >= 1e6:
        sentences.append(f"Ours stores {ours.stored_bytes / 1e6:.0f} MB, built in {ours.build_s:.2g} s.")
    return f"{times.title}. " + " ".join(filter(None, sentences))


def _comparison(times: OperatorTimes, library: LibraryRow) -> str:
    parts = []
    for batch in times.entry.spec.batches:
        ratios = [(direction, times.ratio(library, direction, batch)) for direction in DIRECTIONS]
        words = [f"{ratio.factor} {direction}" for direction, ratio in ratios if ratio]
        if words:
            parts.append(f"{' and '.join(words)} at batch {batch}")
    return f"Speedup over {library_title(library)}: {', '.join(parts)}." if parts else ""


def _linear_cost(times: OperatorTimes) -> str:
    assert times.entry.values is not None
    factors: dict[str, list[float]] = {}
    for row in times.entry.values.doublings:
        factors.setdefault(row.doubled, []).append(median(row.doubled_call_s) / median(row.call_s))
    if not factors:
        return ""
    cross = "\N{MULTIPLICATION SIGN}"
    parts = [f"{min(found):.2f}\N{EN DASH}{max(found):.2f}{cross} ({doubled})" for doubled, found in factors.items()]
    return f"Doubling the input costs {', '.join(parts)}."


def _subject(entry: OperatorsEntry) -> tuple[str, str]:
    return entry.spec.operator, entry.spec.scan


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
