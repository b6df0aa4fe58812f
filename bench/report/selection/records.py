"""Which records are shown: the current protocol, one environment per cell, one setting per task."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from bench.records import (
    AccuracySpec,
    AccuracyValues,
    CallsSpec,
    CallsValues,
    CheckSpec,
    CheckValues,
    MemorySpec,
    MemoryValues,
    OperatorsSpec,
    OperatorsValues,
    ProofSpec,
    ProofValues,
    Provenance,
    Record,
    ReferenceSpec,
    ReferenceValues,
    SolversSpec,
    SolversValues,
    SpeedSpec,
    SpeedValues,
    Status,
    TimingSpec,
    TimingValues,
)
from bench.records.store import ResultStore

S = TypeVar("S", bound=BaseModel)
V = TypeVar("V", bound=BaseModel)


@dataclass(frozen=True)
class Entry(Generic[S, V]):
    """A record whose kind is known to the type checker."""

    spec: S
    values: V | None
    status: Status
    provenance: Provenance

    @property
    def created(self) -> float:
        """Seconds since the epoch: comparable whether or not the record names a time zone."""
        return self.provenance.created.timestamp()


AccuracyEntry = Entry[AccuracySpec, AccuracyValues]
MemoryEntry = Entry[MemorySpec, MemoryValues]
TimingEntry = Entry[TimingSpec, TimingValues]
CallsEntry = Entry[CallsSpec, CallsValues]
SolversEntry = Entry[SolversSpec, SolversValues]
OperatorsEntry = Entry[OperatorsSpec, OperatorsValues]
SpeedEntry = Entry[SpeedSpec, SpeedValues]
ReferenceEntry = Entry[ReferenceSpec, ReferenceValues]
ProofEntry = Entry[ProofSpec, ProofValues]
CheckEntry = Entry[CheckSpec, CheckValues]
ModelEntry = AccuracyEntry | MemoryEntry | TimingEntry | CallsEntry | SolversEntry | CheckEntry
AnyEntry = ModelEntry | OperatorsEntry | SpeedEntry | ReferenceEntry | ProofEntry
E = TypeVar("E", bound=AnyEntry)
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Earlier:
    """Accuracy and references of the last protocol before the current one that has records."""

    protocol: int
    accuracy: tuple[AccuracyEntry, ...]
    references: tuple[ReferenceEntry, ...]


@dataclass(frozen=True)
class Records:
    """Records for the report, by kind: the best environment per cell, and per device where devices matter."""

    accuracy: tuple[AccuracyEntry, ...]
    memory: tuple[MemoryEntry, ...]
    """With the default flags of memory measurements."""
    memory_flags: tuple[MemoryEntry, ...]
    """With any flags."""
    timing: tuple[TimingEntry, ...]
    calls: tuple[CallsEntry, ...]
    solvers: tuple[SolversEntry, ...]
    operators: tuple[OperatorsEntry, ...]
    speed: tuple[SpeedEntry, ...]
    references: tuple[ReferenceEntry, ...]
    proofs: tuple[ProofEntry, ...]
    checks: tuple[CheckEntry, ...]
    outdated: int
    """Records of an older protocol, which are not comparable with these."""
    earlier: "Earlier"

    @property
    def all(self) -> tuple[AnyEntry, ...]:
        """Every entry, whatever its kind."""
        return (*self.of_models, *self.operators, *self.speed, *self.references, *self.proofs)

    @property
    def of_models(self) -> tuple[ModelEntry, ...]:
        """Every entry that is about a model."""
        return (*self.accuracy, *self.memory, *self.timing, *self.calls, *self.solvers, *self.checks)


def load_records(store: ResultStore) -> Records:
    """Read a results folder and choose one environment per cell: clean before dirty, then the newest.

    Args:
        store: the results folder; files that are no valid record are told and skipped.
    """
    every = list(store.records())
    current = [record for record in every if record.current]
    best = _one_environment(current)
    memory = _entries(best, MemorySpec, MemoryValues)
    return Records(
        accuracy=_entries(best, AccuracySpec, AccuracyValues),
        memory=tuple(entry for entry in memory if not (entry.spec.tf32 or entry.spec.channels_last)),
        memory_flags=memory,
        timing=_entries(best, TimingSpec, TimingValues),
        calls=_entries(best, CallsSpec, CallsValues),
        solvers=_entries(best, SolversSpec, SolversValues),
        operators=_entries(best, OperatorsSpec, OperatorsValues),
        speed=_entries(best, SpeedSpec, SpeedValues),
        references=_entries(best, ReferenceSpec, ReferenceValues),
        proofs=_entries(best, ProofSpec, ProofValues),
        checks=_entries(best, CheckSpec, CheckValues),
        outdated=len(every) - len(current),
        earlier=_earlier([record for record in every if not record.current]),
    )


def _earlier(outdated: Sequence[Record]) -> Earlier:
    protocols = [record.spec.protocol for record in outdated if isinstance(record.spec, AccuracySpec)]
    last = max(protocols, default=0)
    accuracy = [r for r in outdated if isinstance(r.spec, AccuracySpec) and r.spec.protocol == last]
    references = [record for record in outdated if isinstance(record.spec, ReferenceSpec)]
    return Earlier(
        last,
        _entries(_one_environment(accuracy), AccuracySpec, AccuracyValues),
        _entries(_one_environment(references), ReferenceSpec, ReferenceValues),
    )


def dominant(
    entries: Iterable[E],
    key: Callable[[E], Hashable],
    cell: Callable[[E], Hashable],
    prefer: Callable[[E], int] = lambda entry: 0,
) -> list[E]:
    """Return the entries of the one setting that covers most cells, so that a row compares like with like.

    Args:
        entries: candidates.
        key: the setting of an entry, e.g. its image shape.
        cell: what should be covered, e.g. its model.
        prefer: decides between settings that cover equally many, the higher wins; after it, the newest.
    """
    candidates = grouped(entries, key)

    def rank(members: Sequence[E]) -> tuple[int, int, int, float]:
        answered = {cell(entry) for entry in members if entry.values is not None}
        covered = {cell(entry) for entry in members}
        return len(answered), len(covered), max(map(prefer, members)), max(entry.created for entry in members)

    return max(candidates.values(), key=rank, default=[])


def grouped(entries: Iterable[E], key: Callable[[E], K]) -> dict[K, list[E]]:
    """Return the entries by a key, in the order of its first entries."""
    groups: dict[K, list[E]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return groups


def newest(entries: Iterable[E]) -> E | None:
    """Return the entry to trust most: one with values, clean, newest; None where there is none."""
    return max(
        entries,
        key=lambda entry: (entry.values is not None, not entry.provenance.dirty, entry.created),
        default=None,
    )


def _one_environment(records: Iterable[Record]) -> list[Record]:
    best: dict[tuple[str, str], Record] = {}
    for record in records:
        on_gpu = isinstance(record.spec, MemorySpec) and record.spec.backend == "cuda"
        by_device = on_gpu or isinstance(record.spec, TimingSpec | SolversSpec | OperatorsSpec | SpeedSpec)
        key = record.cell_id, record.provenance.device if by_device else ""
        if key not in best or _is_better(record, best[key]):
            best[key] = record
    return list(best.values())


def _is_better(record: Record, held: Record) -> bool:
    mine, other = _preference(record), _preference(held)
    # Identities take a while to compute and seldom decide.
    return mine > other or (mine == other and record.provenance.env_id > held.provenance.env_id)


def _preference(record: Record) -> tuple[bool, bool, bool, float]:
    """A crash or time-out is no answer: it loses even to a dirty record."""
    origin = record.provenance
    answered = record.values is not None
    return record.status.finished, not origin.dirty, answered, origin.created.timestamp()


def _entries(records: Iterable[Record], spec_type: type[S], values_type: type[V]) -> tuple[Entry[S, V], ...]:
    found: list[Entry[S, V]] = []
    for record in records:
        spec: BaseModel = record.spec
        if isinstance(spec, spec_type):
            values = record.values if isinstance(record.values, values_type) else None
            found.append(Entry(spec, values, record.status, record.provenance))
    return tuple(found)
