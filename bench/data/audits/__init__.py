"""Rules for the contents of a whole data set. A layout is a file beside this one and a line here."""

from collections.abc import Sequence
from pathlib import Path

from bench.data.audits.base import Contents, Layout, SplitAudit
from bench.data.audits.fastmri import FASTMRI
from bench.data.audits.lodopab import LODOPAB
from bench.data.audits.photos import CELEBA, FOLDER
from bench.data.base import DataError

__all__ = ["LAYOUTS", "Contents", "Layout", "SplitAudit", "find_layout"]

LAYOUTS: Sequence[Layout] = (CELEBA, LODOPAB, FASTMRI, FOLDER)
"""In the order in which a folder is compared with them: the last is the least particular."""


def find_layout(source: Path, task: str | None = None) -> Layout:
    """Return the layout of a folder.

    Args:
        source: the data set's folder.
        task: key in ``TASKS``; only layouts that this task reads are then considered.

    Raises:
        DataError: if it is no folder or has none of the layouts; the message says what they look like.
    """
    if not source.is_dir():
        raise DataError.about(source, "no such folder")
    candidates = [layout for layout in LAYOUTS if task is None or task in layout.tasks]
    for layout in candidates:
        if layout.recognises(source):
            return layout
    known = "; ".join(f"{layout.title}: {layout.looks_like}" for layout in candidates) or "none"
    other = next((layout for layout in LAYOUTS if layout.recognises(source)), None)
    hint = f" (it looks like {other.title}, for task {', '.join(other.tasks)})" if other else ""
    raise DataError.about(source, f"is in no layout that {task or 'any task'} reads{hint}; known: {known}")
