"""Writing into a results folder that may be full, taken or shared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.store import ResultStore, StoreError
from tests.records import make_provenance, make_record, make_spec

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


def test_a_folder_that_takes_records_is_left_as_it_was(store):
    store.check_writable()
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("taken", ["", "memory", "examples"])
def test_a_file_in_place_of_a_folder_is_noticed_before_measuring(taken, store):
    path = store.root / taken if taken else store.root
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    with pytest.raises(StoreError, match=f"{path.name}: records cannot be written here: "):
        store.check_writable()
    assert list(store.records()) == []
    assert store.finished(make_spec(), make_provenance()) is None


def test_a_folder_that_takes_no_files_is_noticed_before_measuring():
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc, in which not even root can make a folder")
    with pytest.raises(StoreError, match="records cannot be written here"):
        ResultStore("/proc/results").check_writable()


def test_only_old_temporary_files_are_cleaned(store):
    store.add(make_record())
    old, young, other = (store.root / "memory" / name for name in ("x.json.12.tmp", "y.json.34.tmp", "z.json"))
    for path in (old, young, other):
        path.write_text("")
    for path in (old, other):
        os.utime(path, (1e9, 1e9))
    store.check_writable()
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_a_writer_whose_temporary_file_is_cleaned_writes_it_again(store, monkeypatch):
    fsync, names = os.fsync, []

    def cleaned(handle):
        fsync(handle)
        if not names:
            names.extend(store.root.glob("memory/*.tmp"))
            names[0].unlink()

    monkeypatch.setattr(os, "fsync", cleaned)
    store.add(make_record())
    assert len(names) == 1
    assert list(store.records()) == [make_record()]


FULL = """
import resource, signal
from bench.records.store import ResultStore, StoreError
from tests.records import make_record, make_spec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = ResultStore({root!r})
store.add(make_record())
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
for act in (store.check_writable, lambda: store.add(make_record(spec=make_spec(task="deblur")))):
    try:
        act()
    except StoreError as error:
        print(error)
"""


def test_a_full_disk_ends_in_a_line_and_costs_no_record(store):
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(root=str(store.root))], cwd=ROOT, capture_output=True, text=True, check=True
    )
    checked, added = done.stdout.splitlines()
    assert checked == f"{store.root}: records cannot be written here: file too large"
    assert "cannot be written: file too large; the record is lost" in added
    assert len(list(store.records())) == 1
    assert not list(store.root.glob("**/*.tmp"))


def test_a_record_that_the_folder_does_not_take_is_kept_elsewhere(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store.root.write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*; the record is kept as") as failure:
        store.add(make_record())
    kept = Path(str(failure.value).rpartition(" kept as ")[2])
    assert ResultStore.read(kept) == make_record()
