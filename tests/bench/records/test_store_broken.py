"""A results folder in which anything may be broken: it is told in a line, and costs nothing else."""

import json
import os
import socket
from pathlib import Path

import pytest

from bench.records import Status
from bench.records import files as files_module
from bench.records.store import ResultStore
from tests.records import make_provenance, make_record, make_spec

ROOT = Path(__file__).resolve().parents[3]
GOOD = make_record().model_dump_json().encode()
UNKNOWN = json.dumps(json.loads(GOOD) | {"colour": "blue"}).encode()


@pytest.fixture
def told():
    return []


@pytest.fixture
def store(tmp_path, told):
    return ResultStore(tmp_path / "results", told.append)


def put(store, content):
    path = store.path_of(make_spec(), make_provenance())
    path.parent.mkdir(parents=True, exist_ok=True)
    content(path) if callable(content) else path.write_bytes(content)
    return path


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        there = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        made.bind(path.name)
        os.chdir(there)


BROKEN = {
    "empty": b"",
    "truncated": GOOD[:100],
    "foreign": b'{"name": "package.json"}',
    "unknown field": UNKNOWN,
    "not UTF-8": GOOD.replace(b"test device", b"\xff\xfe"),
    "nested": b"[" * 100_000,
    "array": b"[]",
    "nan": b"NaN",
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": bound_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "circle": lambda path: path.symlink_to(path),
    "nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_told_measured_again_and_kept_aside(content, store, told):
    other = store.path_of(make_spec(task="deblur"), make_provenance())
    store.add(make_record(spec=make_spec(task="deblur")))
    path = put(store, content)
    assert [record.spec.task for record in store.records()] == ["deblur"]
    assert store.finished(make_spec(), make_provenance()) is None
    (line,) = told  # once, however often it is read
    assert line.startswith(f"skipped: {path}: ")
    assert "\n" not in line
    assert store.add(make_record()) == path
    aside = path.with_name(path.name + ".broken")
    assert os.path.lexists(aside)
    assert told[1].startswith(f"kept aside as {aside.name}: {path}: ")
    if isinstance(content, bytes):
        assert aside.read_bytes() == content
    assert store.finished(make_spec(), make_provenance()) is not None
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, other.name, aside.name}


def test_what_is_kept_aside_is_never_overwritten(store):
    for content in (b"first", b"second", Path.mkdir, b"third"):
        path = put(store, lambda path, content=content: path.unlink(missing_ok=True) or put_at(path, content))
        store.add(make_record())
    names = sorted(entry.name.removeprefix(path.name) for entry in path.parent.iterdir())
    assert names == ["", ".broken", ".broken.1", ".broken.2", ".broken.3"]
    assert path.with_name(path.name + ".broken.3").read_bytes() == b"third"


def put_at(path, content):
    content(path) if callable(content) else path.write_bytes(content)


def test_too_large_a_file_is_not_read(store, told, monkeypatch):
    path = put(store, b"")
    os.truncate(path, files_module.MOST_BYTES + 1)  # a hole, which takes no space
    assert list(store.records()) == []
    assert told == [f"skipped: {path}: not a valid record: larger than 64 MiB"]


def test_a_record_of_another_question_in_its_place_is_no_answer(store):
    copied = make_record(spec=make_spec(cap_bytes=2**34)).model_dump_json().encode()
    path = put(store, copied)
    assert store.finished(make_spec(), make_provenance()) is None
    store.add(make_record())
    assert path.with_name(path.name + ".broken").read_bytes() == copied


def test_a_crash_does_not_replace_an_answer(store):
    store.add(make_record())
    store.add(make_record(status=Status.FAILED, values=None))
    assert store.finished(make_spec(), make_provenance()) == make_record()
    store.add(make_record(status=Status.DIVERGED))
    assert store.finished(make_spec(), make_provenance()).status is Status.DIVERGED


def test_an_answer_of_another_machine_is_found_where_that_will_do(store):
    elsewhere = make_record(provenance=make_provenance(device="other"))
    store.add(elsewhere)
    assert store.finished(make_spec(), make_provenance()) is None
    assert store.finished(make_spec(), make_provenance(), anywhere=True) == elsewhere
    assert store.finished(make_spec(cap_bytes=1), make_provenance(), anywhere=True) is None


def test_names_of_any_length_are_stored(store):
    records = [make_record(spec=make_spec(model="pack.mod:" + n * 300)) for n in ("\u00fc", "x")]
    for record in records:
        store.add(record)
    assert sorted(store.records(), key=str) == sorted(records, key=str)
