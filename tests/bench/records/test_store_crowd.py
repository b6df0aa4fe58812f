"""Many writers of one results folder: all that they stored is there, whole."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.store import ResultStore
from tests.many_records import write_many

ROOT = Path(__file__).resolve().parents[3]
WRITERS, EACH = 16, 1000

WRITER = """
import sys
from bench.records.store import ResultStore
from tests.records import make_record, make_spec
root, number, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = ResultStore(root)
store.check_writable()
record, spec = make_record(), make_spec()
for cap in range(each):
    store.add(record.model_copy(update={"spec": spec.model_copy(update={"cap_bytes": 1 + number * each + cap})}))
    if cap == 0:
        print("going", flush=True)
"""


def write(root, number, each):
    command = [sys.executable, "-c", WRITER, str(root), str(number), str(each)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def processor_s(*arguments):
    """Run a command; return what it printed and the processor time it took, whatever else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_sixteen_writers_lose_nothing(tmp_path):
    writers = [write(tmp_path, number, EACH) for number in range(WRITERS)]
    for writer in writers:
        _, complaints = writer.communicate()
        assert (writer.returncode, complaints) == (0, "")
    told = []
    records = list(ResultStore(tmp_path, told.append).records())
    assert {record.spec.cap_bytes for record in records} == set(range(1, 1 + WRITERS * EACH))
    assert (len(records), told) == (WRITERS * EACH, [])
    assert not list(tmp_path.rglob("*.tmp"))
    listed, spent_s = processor_s("bench.results", "list", "--results", str(tmp_path))
    assert listed.endswith(f"\n{WRITERS * EACH} records\n")
    assert spent_s < 5


def test_writers_of_the_same_records_take_turns(tmp_path):
    writers = [write(tmp_path, 0, 20) for _ in range(3)]
    while any(writer.poll() is None for writer in writers):
        told = []
        list(ResultStore(tmp_path, told.append).records())
        assert told == []  # nothing half-written is ever read
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    assert len(list(ResultStore(tmp_path).records())) == 20


@pytest.mark.slow
def test_writers_killed_at_random_moments_leave_no_half_written_record(tmp_path):
    chance, told = random.Random(0), []
    for number in range(12):
        with write(tmp_path, number, EACH) as writer:
            assert writer.stdout.readline() == "going\n"
            time.sleep(chance.uniform(0, 0.2))
            writer.kill()
    records = list(ResultStore(tmp_path, told.append).records())
    assert len(records) >= 12
    assert told == []
    for left in tmp_path.rglob("*.tmp"):
        os.utime(left, (1e9, 1e9))
    ResultStore(tmp_path).check_writable()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_ten_thousand_records_are_listed_at_once(tmp_path):
    write_many(tmp_path, 10_000)
    listed, spent_s = processor_s("bench.results", "list", "--results", str(tmp_path))
    assert listed.endswith("\n10000 records\n")
    assert spent_s < 6  # a slow processor takes three seconds
