"""A results folder after years of use: the committed records again and again, with other seeds, caps and models."""

import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from bench.records import Record
from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[1]
DEVICES = ("NVIDIA A100", "NVIDIA H100", "Epyc 7763, 64 threads")
OWN_MODELS = 2
GIB = 2**30


def write_many(folder: Path, number: int) -> list[Path]:
    """Write records of different cells into a results folder, and return their files."""
    store = ResultStore(folder)
    paths = []
    for record in islice(many_records(), number):
        path = store.path_of(record.spec, record.provenance)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(indent=1) + "\n")
        paths.append(path)
    assert len(set(paths)) == number, "two of them are the same cell"
    return paths


def many_records() -> Iterator[Record]:
    """Yield the committed records, then variants of them, without end."""
    committed = sorted(path for path in (ROOT / "results").glob("*/*.json"))
    originals = [json.loads(path.read_text()) for path in committed]
    for turn in count():
        for record in originals:
            yield Record.model_validate(_varied(record, turn))


def _varied(record: dict, turn: int) -> dict:
    """Change whatever may differ between two cells of the same kind; each turn gives other cells."""
    spec, origin = dict(record["spec"]), dict(record["provenance"])
    values = dict(record["values"]) if record["values"] else None
    own = turn % (OWN_MODELS + 1)
    if "model" in spec and own:
        spec["model"] = f"lab.nets:{spec['model'].title().replace('-', '')}{own}"
    if "seed" in spec:
        spec["seed"] += turn
    if spec.get("cap_bytes") and turn % 2:
        spec["cap_bytes"] += 2 * (turn % 5) * GIB
    origin["device"] = DEVICES[turn % len(DEVICES)]
    origin["threads"] += turn  # an environment of its own
    if values:
        values |= {name: None for name in ("example", "weights") if values.get(name)}
    return {**record, "spec": spec, "values": values, "provenance": origin}
