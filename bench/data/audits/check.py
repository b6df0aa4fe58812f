"""Examine a whole data set file by file and report its problems."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from bench.data.audits import Contents, SplitAudit, find_layout
from bench.data.audits.base import told
from bench.data.base import DataError, Split
from bench.runner.progress import Reporter


@dataclass
class SplitSummary:
    """What a split turned out to hold.

    Attributes:
        split: which one.
        files: how many were examined.
        images: how many could be read.
        shapes: their (H, W) in pixels.
        stored_as: number or file types.
        low: smallest value.
        high: largest value.
        patients: who is in it.
        problems: one line each.
    """

    split: Split
    files: int = 0
    images: int = 0
    shapes: set[tuple[int, int]] = field(default_factory=set)
    stored_as: set[str] = field(default_factory=set)
    low: float = float("inf")
    high: float = float("-inf")
    patients: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def add(self, contents: Contents) -> None:
        """Take in a readable file; nan, a file without a range, changes none."""
        self.images += contents.images
        self.shapes.add(contents.shape)
        self.stored_as.add(contents.stored_as)
        self.low, self.high = min(self.low, contents.low), max(self.high, contents.high)
        self.patients |= contents.patients
        self.problems += contents.problems


@dataclass
class Report:
    """What was found so far: complete unless the check was interrupted."""

    layout: str = ""
    splits: list[SplitSummary] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Every problem once, in the order of the splits."""
        return list(dict.fromkeys([line for split in self.splits for line in split.problems] + self.shared))


def check(source: Path, task: str | None, *, complete: bool, report: Report, reporter: Reporter) -> None:
    """Examine every file of a data set, one at a time.

    Args:
        source: its folder.
        task: key in ``TASKS`` that it is meant for; None to tell from the folder alone.
        complete: whether a split that has not the published number of images or volumes is a problem.
        report: filled in as files are examined, so that an interrupt loses nothing.
        reporter: told about the progress; its total becomes the number of splits.

    Raises:
        DataError: if the folder is in no known layout.
    """
    layout = find_layout(source, task)
    report.layout = layout.title
    try:
        audits = layout.audit(source)
    except DataError as error:
        report.shared.append(str(error))
        return
    reporter.total = len(audits)
    with reporter.live():
        for audit in audits:
            summary = SplitSummary(audit.split, problems=list(audit.problems))
            report.splits.append(summary)
            _examine(audit, summary, reporter)
            if complete:
                summary.problems += _missing(source, audit, summary)
            reporter.finish(f"{summary.images} images in {summary.files} files, {len(summary.problems)} problems")
    report.shared += _shared_patients(source, report.splits)


def _examine(audit: SplitAudit, summary: SplitSummary, reporter: Reporter) -> None:
    reporter.start(audit.split)
    for number, file in enumerate(audit.files, start=1):
        try:
            summary.add(audit.examine(file))
        except DataError as error:
            summary.problems.append(str(error))
        summary.files = number
        reporter.detail(f"file {number} of {len(audit.files)}, {len(summary.problems)} problems")


def _missing(source: Path, audit: SplitAudit, summary: SplitSummary) -> Iterator[str]:
    if audit.published is not None:
        published, unit = audit.published
        found = summary.files if unit == "files" else summary.images
        if found != published:
            yield told(source, f"the {audit.split} split has {found} {unit}, the published one {published}")


def _shared_patients(source: Path, splits: Sequence[SplitSummary]) -> Iterator[str]:
    for one, other in combinations(splits, 2):
        for patient in sorted(one.patients & other.patients):
            yield told(source, f"patient {patient} is in the {one.split} and in the {other.split} split")
