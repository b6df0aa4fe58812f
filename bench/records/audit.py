"""Checks that a results folder holds what its records say. Never imports torch."""

from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from bench.records.answer import AccuracyValues
from bench.records.reading import StoreError
from bench.records.record import Record
from bench.records.store import ResultStore


def findings(root: Path) -> Iterator[str]:
    """Yield a line for every record that is broken, has another's name, or names a file that cannot be read.

    Args:
        root: the results folder.
    """
    unread: list[str] = []
    store = ResultStore(root, tell=unread.append)
    for path in store.paths():
        try:
            record = store.read(path)
        except (FileNotFoundError, StoreError) as error:
            yield str(error) if isinstance(error, StoreError) else f"{path}: a link that leads nowhere"
            continue
        due = store.path_of(record.spec, record.provenance)
        if due != path:
            yield f"{path}: its content belongs to {due.relative_to(root)}"
        yield from _files(record, path, store)
    store.credits()
    yield from (line.removeprefix("skipped: ") for line in unread)


def _files(record: Record, path: Path, store: ResultStore) -> Iterator[str]:
    values = record.values
    if not isinstance(values, AccuracyValues):
        return
    if values.example is not None:
        try:
            store.example(values.example)
        except StoreError as error:
            yield f"{path}: {error}"
    if values.weights is not None:
        try:
            weights = store.inside(values.weights)
            if not weights.is_file():
                yield f"{path}: no file {values.weights}"
                return
            with safe_open(weights, framework="np") as file:
                file.keys()
        except (StoreError, SafetensorError, OSError) as error:
            yield f"{path}: {values.weights}: {error}"
