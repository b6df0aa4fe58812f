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


def absent(root: Path) -> Iterator[str]:
    """Yield a line for every file that a record names and that is not there: weights and images may be kept elsewhere.

    Args:
        root: the results folder.
    """
    store = ResultStore(root, tell=lambda line: None)
    for record in store.records():
        for name in _named(record):
            try:
                found = store.inside(name).is_file()
            except StoreError:
                continue  # one of the findings
            if not found:
                yield f"{store.path_of(record.spec, record.provenance)}: no file {name}"


def _named(record: Record) -> list[str]:
    values = record.values
    return [name for name in (values.example, values.weights) if name] if isinstance(values, AccuracyValues) else []


def _files(record: Record, path: Path, store: ResultStore) -> Iterator[str]:
    for name in _named(record):
        try:
            file = store.inside(name)
            if not file.is_file():
                continue  # one of the absent
            if file.suffix == ".npz":
                store.example(name)
            else:
                with safe_open(file, framework="np") as weights:
                    weights.keys()
        except (StoreError, SafetensorError, OSError) as error:
            yield f"{path}: {name}: {error}"
