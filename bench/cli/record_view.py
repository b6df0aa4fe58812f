"""A whole record on stdout, readable by people."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.tables import print_table
from bench.records import GIB, MIB, Record

MOST_NUMBERS = 12
"""Of a list on its line; a training has thousands, which ``--format json`` prints."""


def print_record(path: Path, record: Record) -> None:
    """Print a record: its fields, one per line, then its lists of objects as tables.

    Args:
        path: its file, for the title.
        record: what to print.
    """
    table = Table("field", "value", title=str(path), title_justify="left", show_header=False)
    apart: dict[str, Sequence[Mapping[str, Any]]] = {}
    content = record.model_dump()
    content |= {"cell_id": record.cell_id, "env_id": record.provenance.env_id}
    for name, value in _fields("", content, apart):
        table.add_row(name, Text(_told(name, value)))
    print_table(table)
    for name, rows in apart.items():
        keys = list(dict.fromkeys(key for row in rows for key in row))
        inner = Table(*keys, title=f"{name}: {len(rows)}", title_justify="left")
        for row in rows:
            inner.add_row(*(Text(_told(key, row.get(key))) for key in keys))
        print_table(inner)


def _fields(name: str, value: Any, apart: dict[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _fields(f"{name}.{key}" if name else key, inner, apart)
    elif isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
        apart[name] = value
    else:
        yield name, value


def _told(name: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int) and name.endswith("_bytes"):
        size = f"{value / GIB:.2f} GiB" if value >= GIB else f"{value / MIB:.2f} MiB"
        return f"{value:,} ({size})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(_told(name, item) for item in value[:MOST_NUMBERS])
        return shown + (f", ... ({len(value)} in all)" if len(value) > MOST_NUMBERS else "") or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(key, inner)}" for key, inner in value.items()) or "-"
    return str(getattr(value, "value", value))
