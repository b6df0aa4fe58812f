"""The interface of a layout, and the summary of an examined file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.base import DataError, Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one readable file holds.

    Attributes:
        images: how many.
        shape: their (H, W) in pixels.
        stored_as: number type or file type.
        low: smallest value of the reference images, in the units that training sees.
        high: largest value.
        patients: whose images may not be in another split; empty where that is not known.
        problems: what is wrong nevertheless, each on a line that names the file.
    """

    images: int
    shape: tuple[int, int]
    stored_as: str
    low: float
    high: float
    patients: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SplitAudit:
    """One split's files, and how each is examined.

    Attributes:
        split: which one.
        files: what is examined, one after the other.
        examine: reads one of them completely; raises ``DataError`` for one that cannot be used.
        problems: what the list of files alone shows to be wrong.
        published: how many ``images`` or ``files`` the published split has; None where there is no such split.
    """

    split: Split
    files: Sequence[Any] = ()
    examine: Callable[[Any], Contents]
    problems: tuple[str, ...] = ()
    published: tuple[int, Literal["images", "files"]] | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Layout of a data set in a folder.

    Attributes:
        title: name of the data set.
        looks_like: the files that give it away, for messages.
        tasks: keys of the tasks that read it.
        recognises: whether a folder looks like it, complete or not.
        audit: lists what is to be examined; raises ``DataError`` where nothing can be.
    """

    title: str
    looks_like: str
    tasks: tuple[str, ...]
    recognises: Callable[[Path], bool]
    audit: Callable[[Path], list[SplitAudit]]


def told(where: Path, problem: str) -> str:
    """Say on one line what is wrong with a file."""
    return str(DataError.about(where, problem))


def audit_splits(audit: Callable[[Path, Split], SplitAudit], source: Path) -> list[SplitAudit]:
    """Audit every split; one that cannot be listed is a problem of its own and stops no other."""
    audits = []
    for split in SPLITS:
        try:
            audits.append(audit(source, split))
        except DataError as error:
            audits.append(SplitAudit(split=split, examine=_nothing, problems=(str(error),)))
    return audits


def finite_range(
    arrays: Iterable[NDArray[np.floating[Any]]], where: Path, unit: str
) -> tuple[float, float, tuple[str, ...]]:
    """Find the range of a stack, read one image at a time.

    Args:
        arrays: the images.
        where: their file, and
        unit: what one of them is called, for messages.

    Returns:
        Smallest and largest finite value (nan where there is none), and a problem for each image that holds
        other values or one value alone.
    """
    low, high, problems = np.inf, -np.inf, []
    for position, array in enumerate(arrays):
        smallest, largest = float(array.min()), float(array.max())
        if not np.isfinite(smallest + largest):
            problems.append(told(where, f"{unit} {position} holds values that are not finite numbers"))
            continue
        if smallest == largest:
            value = f"{smallest:g}" if smallest else "zero"
            problems.append(told(where, f"{unit} {position} is blank: it is {value} everywhere (padding?)"))
        low, high = min(low, smallest), max(high, largest)
    return (low, high, tuple(problems)) if low <= high else (np.nan, np.nan, tuple(problems))


def _nothing(_: Any) -> Contents:
    raise AssertionError("a split without files has none to examine")
