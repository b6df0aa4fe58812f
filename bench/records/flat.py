"""Records as rows of a flat table. Never imports torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from bench.records.record import Record

Scalar = str | int | float | bool | None


def flat(record: Record) -> dict[str, Scalar]:
    """Return a record as one row; names of columns are the fields' own, with their units, joined by dots.

    Of lists in the answer there are the count, the mean and the median; of lists of objects, these of every number
    inside. Lists in the question are JSON text.

    Args:
        record: any.
    """
    # Python's own types: in JSON, nan is a text.
    return dict(_columns("", record.model_dump() | {"cell_id": record.cell_id, "env_id": record.provenance.env_id}))


def _columns(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _columns(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _list_columns(name, value) if name.startswith("values.") else [(name, json.dumps(value))]
    elif isinstance(value, str | int | float | None):
        yield name, getattr(value, "value", value)
    else:
        yield name, str(value)


def _list_columns(name: str, values: Sequence[Any]) -> Iterator[tuple[str, Scalar]]:
    yield f"{name}.count", len(values)
    for ending, numbers in _series(values).items():
        yield f"{name}{ending}.mean", sum(numbers) / len(numbers)
        yield f"{name}{ending}.median", median(numbers)


def _series(values: Sequence[Any]) -> dict[str, list[float]]:
    """Gather the numbers of a list, or those of every field of its objects."""
    found: dict[str, list[float]] = {}
    for value in values:
        for key, inner in value.items() if isinstance(value, Mapping) else [("", value)]:
            if isinstance(inner, int | float) and not isinstance(inner, bool):
                found.setdefault(f".{key}" if key else "", []).append(float(inner))
    return found
