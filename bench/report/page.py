"""The page with every table and figure, the origin of their records and the commands to reproduce them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.records import AccuracySpec
from bench.records.paper import Paper
from bench.report.drawing.latex import environment
from bench.report.drawing.layout import DIRTY, listing
from bench.report.selection.accuracy import Study
from bench.report.selection.records import AccuracyEntry, AnyEntry, Records
from bench.report.tables.conditions import conditions

COMMIT_DIGITS = 10


@dataclass(frozen=True)
class Exhibit:
    """A rendered figure or table on the page.

    Attributes:
        heading: its heading.
        image: file name of its PNG.
        caption: paragraphs below it, plain text.
        sources: file names of the same content as LaTeX or CSV.
    """

    heading: str
    image: str
    caption: tuple[str, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where some records come from; ``kinds`` says how many of each kind."""

    kinds: str
    device: str
    torch: str
    python: str
    platform: str
    threads: int
    commit: str


def readme(exhibits: Sequence[Exhibit], records: Records, studies: Sequence[Study], paper: Paper) -> str:
    """Return the page as Markdown.

    Args:
        exhibits: what was rendered, in its order.
        records: the records behind them.
        studies: the accuracy groups, the headline first.
        paper: its title and reference.
    """
    template = environment().get_template("README.md.j2")
    return template.render(
        exhibits=exhibits,
        origins=_origins(records.all),
        commands=_commands(studies) + _other_commands(records),
        commits=_commits(records.all),
        paper=paper,
        shown=len(records.all),
        outdated=records.outdated,
        accuracy=bool(studies),
        earlier=bool(records.earlier.accuracy),
        left_out=sum(study.left_out for study in studies),
        dirty=any(entry.provenance.dirty for entry in records.all),
    )


def earlier_page(exhibits: Sequence[Exhibit], protocol: int) -> str:
    """Return the page of an earlier protocol's tables as Markdown.

    Args:
        exhibits: its tables.
        protocol: which one.
    """
    today = AccuracySpec.model_fields["protocol"].default
    return environment().get_template("earlier.md.j2").render(exhibits=exhibits, protocol=protocol, today=today)


def study_caption(study: Study, paper: Paper, credits: Mapping[str, str]) -> tuple[str, ...]:
    """Return the conditions of a study: scale, data and its credits, training, device, versions.

    Args:
        study: the accuracy group.
        paper: the order of tasks and models.
        credits: whom to credit, by data label.
    """
    entries = [entry for cell in study.cells.values() for entry in cell]
    scale = f"{study.group.title[0].upper()}{study.group.title[1:]}."
    origin = origin_caption([*entries, *study.references.values()])
    return " ".join((scale, *conditions(study, paper))), *credited(study, credits), origin


def credited(study: Study, credits: Mapping[str, str]) -> tuple[str, ...]:
    """Return whom to credit for a study's images, one line per data label."""
    labels = {entry.spec.data for cell in study.cells.values() for entry in cell}
    return tuple(f"Images {label}: {credits[label]}" for label in sorted(labels & credits.keys()))


def origin_caption(entries: Iterable[AnyEntry]) -> str:
    """Return the devices, versions and commits that some records come from."""
    origins = [entry.provenance for entry in entries]
    if not origins:
        return "No measurements of ours yet."
    dirty = " (modified checkout, not a reference)" if any(origin.dirty for origin in origins) else ""
    commits = listing(sorted({_commit(origin.commit) for origin in origins}))
    devices = listing(sorted({origin.device for origin in origins}))
    versions = listing(sorted({origin.torch for origin in origins}))
    return f"Device: {devices}; torch {versions}; commit {commits}{dirty}."


def _commit(commit: str | None) -> str:
    return commit[:COMMIT_DIGITS] if commit else "unknown"


def _commits(entries: Iterable[AnyEntry]) -> str:
    return listing(sorted({_commit(entry.provenance.commit) for entry in entries if entry.provenance.commit}))


def _origins(entries: Iterable[AnyEntry]) -> list[Origin]:
    counts: dict[tuple[str, str, str, str, int, str], dict[str, int]] = {}
    for entry in entries:
        place = entry.provenance
        commit = _commit(place.commit) + (f" {DIRTY}" if place.dirty else "")
        key = (place.device, place.torch, place.python, place.platform, place.threads, commit)
        kinds = counts.setdefault(key, {})
        kinds[entry.spec.kind] = kinds.get(entry.spec.kind, 0) + 1
    return [
        Origin(", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds)), *key)
        for key, kinds in sorted(counts.items())
    ]


def _commands(studies: Sequence[Study]) -> list[str]:
    """Return the commands that reproduce the shown records, for every accuracy group and seed."""
    commands = []
    for study in studies:
        entries = [entry for cell in study.cells.values() for entry in cell]
        options = f"--scale {shlex.quote(study.group.scale)}" + _data_options(entries)
        commands.append(f"python -m bench.all {options}")
        others = sorted({entry.spec.seed for entry in entries} - {0})
        commands += [f"python -m bench.accuracy --all {options} --seed {seed}" for seed in others]
    return commands or ["python -m bench.all"]


def _other_commands(records: Records) -> list[str]:
    """Return the commands that ``bench.all`` leaves out."""
    kinds = {"solvers": records.solvers, "operators": records.operators, "memory check": records.checks}
    commands = [f"python -m bench.{name}" for name, entries in kinds.items() if entries]
    return commands + ["python -m tests.benchmarks.speed"] * bool(records.speed)


def _data_options(entries: Iterable[AccuracyEntry]) -> str:
    sources = sorted({(entry.spec.task, entry.spec.data) for entry in entries if entry.spec.data != "generated"})
    return "".join(" --data " + shlex.quote(f"{task}=FOLDER/{data}") for task, data in sources)
