"""``python -m bench.results``: list, show, check and export the stored records."""

import difflib
import json
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli import Name, results_option, run, unknown

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.record import Record
    from bench.records.store import ResultStore
    from bench.records.summary import Summary

HELP = """List, show, check and export the stored records; nothing is measured.

Files that are no valid record are named on stderr and skipped.

\b
Examples:
  python -m bench.results list --kind memory --task ct
  python -m bench.results show 1a2b3c4d
  python -m bench.results verify
  python -m bench.results export records.csv

Exit codes: 0 done; 1 verify found a problem; 2 bad input.
"""

COLUMNS = ("id", "kind", "subject", "question", "status", "answer", "created", "device")
MOST_CHOICES = 5


class Choice:
    """Which records the options ask for.

    Args:
        asked: option -> values, any of which will do; none for all.
    """

    def __init__(self, asked: dict[str, Sequence[str]]) -> None:
        self._asked = asked
        self._seen: dict[str, set[str]] = {"task": set(), "model": set()}

    def wants(self, record: "Record | Summary") -> bool:
        """Whether a record is asked for."""
        values = {name: getattr(record.spec, name, None) for name in ("kind", "task", "model")}
        for name, seen in self._seen.items():
            if (value := values[name]) is not None:
                seen.add(value)
        values["status"] = record.status.value
        return all(not asked or values[name] in asked for name, asked in self._asked.items())

    def check(self) -> None:
        """Refuse a task or model that no record has.

        Raises:
            click.ClickException: with the nearest one.
        """
        for name, seen in self._seen.items():
            for value in self._asked[name]:
                if value not in seen:
                    raise click.ClickException(unknown(name, value, sorted(seen)))


def _kinds() -> Sequence[str]:
    from bench.records.store import kinds

    return kinds()


def _statuses() -> Sequence[str]:
    from bench.records.record import Status

    return [status.value for status in Status]


def choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--results`` and the options that choose records; the function receives a ``Choice`` for these."""

    @wraps(function)
    def chosen(**options: Any) -> Any:
        asked = {name: options.pop(name) for name in types}
        return function(choice=Choice(asked), **options)

    types = {
        "kind": Name("kind", _kinds),
        "task": click.STRING,
        "model": click.STRING,
        "status": Name("status", _statuses),
    }
    for name, kind_of_value in reversed(types.items()):
        chosen = click.option(f"--{name}", type=kind_of_value, multiple=True, help="Repeatable. Default: all.")(chosen)
    return results_option(chosen)


@click.group(help=HELP, no_args_is_help=False)
def main() -> None:
    """Do what the sub-command says."""


@main.command("list", help="List records, sorted by kind and name, and say how many there are.")
@choice_options
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_records(results: Path, choice: Choice, form: str) -> None:
    """List records from the command line."""
    from bench.records.summary import Summary

    found = [(path, record) for path, record in _store(results).summaries(Summary) if choice.wants(record)]
    choice.check()
    if form == "json":
        click.echo(json.dumps([_row(path, record) | {"file": str(path)} for path, record in found], indent=1))
        return
    rows = [COLUMNS, *(tuple(_row(path, record).values()) for path, record in found)]
    # Not by rich, which takes a minute for ten thousand rows.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    click.echo("\n".join((*lines, f"{len(found)} record{'' if len(found) == 1 else 's'}")))


def _row(path: Path, record: "Summary") -> dict[str, str]:
    from bench.records.summary import ids_of

    created = f"{record.provenance.created:%Y-%m-%d %H:%M}"
    values = (ids_of(path), record.spec.kind, record.subject, record.details, record.status.value, record.answer)
    return dict(zip(COLUMNS, (*values, created, record.provenance.device), strict=True))


@main.command(help="Show a whole record: ID is its file's name, or the beginning of its identity as 'list' shows it.")
@click.argument("id")
@results_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(id: str, results: Path, form: str) -> None:  # the argument's name in the help
    """Show a record from the command line."""
    from bench.cli.record_view import print_record
    from bench.records.summary import ids_of

    store = _store(results)
    paths = [path for path in store.paths() if Path(id).stem == path.stem or ids_of(path).startswith(id)]
    if len(paths) != 1:
        raise click.ClickException(_choices(id, paths or store.paths(), found=len(paths)))
    try:
        record = store.read(paths[0])
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if form == "json":
        click.echo(record.model_dump_json(indent=1))
    else:
        print_record(paths[0], record)


def _choices(name: str, paths: Sequence[Path], found: int) -> str:
    from bench.records.summary import ids_of

    if found:
        shown = ", ".join(path.stem for path in paths[:MOST_CHOICES])
        return f"{found} records are called {name!r}: {shown}" + (", ..." if found > MOST_CHOICES else "")
    names = [path.stem for path in paths]
    near = difflib.get_close_matches(Path(name).stem, [*names, *map(ids_of, paths)], n=MOST_CHOICES, cutoff=0.4)
    return f"no record is called {name!r}" + (f"; nearest: {', '.join(near)}" if near else "")


@main.command(help="Check every record and the files that it names. Exit code 1 if anything is wrong, a line for each.")
@click.option("--complete", is_flag=True, help="Weights and images that records name must be there, too.")
@results_option
def verify(complete: bool, results: Path) -> int:
    """Check a results folder from the command line."""
    from bench.records.audit import absent, findings

    number, wrong, elsewhere = len(_store(results).paths()), list(findings(results)), list(absent(results))
    wrong += elsewhere if complete else []
    for line in wrong:
        click.echo(" ".join(line.split()))
    told = f"{number} records: {len(wrong) or 'no'} problem{'' if len(wrong) == 1 else 's'}"
    if elsewhere and not complete:
        told += f"; {len(elsewhere)} files that they name are not kept here (--complete names them)"
    click.echo(told)
    return int(bool(wrong))


@main.command(help="Write records as a flat table into FILE.csv or FILE.parquet (pip install '.[parquet]').")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@choice_options
def export(file: Path, results: Path, choice: Choice) -> None:
    """Export records from the command line."""
    from bench.records.files import reason_of, write_atomically
    from bench.records.flat import flat

    endings = (".csv", ".parquet")
    if file.suffix not in endings:
        raise click.ClickException(unknown("type of file", file.suffix or file.name, endings))
    rows = [flat(record) for record in _store(results).records() if choice.wants(record)]
    choice.check()
    if not rows:
        raise click.ClickException(f"no such records under {results}")
    import pandas as pd

    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    try:
        write_atomically(file, _parquet(frame) if file.suffix == ".parquet" else frame.to_csv(index=False).encode())
    except OSError as error:
        raise click.ClickException(f"{file}: {reason_of(error)}") from error
    click.echo(f"{len(frame)} records with {len(frame.columns)} columns in {file}")


def _parquet(frame: "pd.DataFrame") -> bytes:
    """Return a table as Parquet; columns that hold texts and numbers become texts."""
    mixed = [name for name in frame if frame[name].dropna().map(type).nunique() > 1]
    for name in mixed:
        frame[name] = frame[name].map(str, na_action="ignore")
    try:
        content: bytes = frame.to_parquet(None, engine="pyarrow", index=False)
    except ImportError as error:
        raise click.ClickException("Parquet needs pyarrow: pip install pyarrow, or export a .csv") from error
    return content


def _store(results: Path) -> "ResultStore":
    from bench.records.store import ResultStore

    if not results.is_dir():
        raise click.ClickException(f"no results folder {results}")
    return ResultStore(results)


if __name__ == "__main__":
    run(main)
