"""A sweep that is killed again and again: nothing is lost, half-written or measured twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records.store import ResultStore

ROOT = Path(__file__).parents[3]
KILLS = 100
CELLS = 150
AT_ONCE_S = 0.3


def sweep(folder):
    program = f"from tests.bench.runner.plain_cells import sweep; sweep({str(folder)!r}, {CELLS})"
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)


def answers(folder):
    """What is stored, times aside, by file."""
    store, moment = ResultStore(folder), {"created": "2026-01-01T00:00:00Z"}
    found = {}
    for path in sorted(folder.glob("*/*.json")):
        record = store.read(path)
        assert path == store.path_of(record.spec, record.provenance)
        found[path.name] = record.model_copy(update={"provenance": record.provenance.model_copy(update=moment)})
    return found


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(tmp_path):
    numbers, kills, rounds = random.Random(0), 0, 0
    assert sweep(tmp_path / "undisturbed").wait() == 0
    expected = answers(tmp_path / "undisturbed")
    assert len(expected) == CELLS
    while kills < KILLS:
        disturbed = tmp_path / str(rounds)
        kills += killed_until_done(disturbed, numbers)
        rounds += 1
        assert answers(disturbed) == expected
        assert not list(disturbed.rglob("*.log"))


def killed_until_done(folder, numbers):
    """Kill a sweep at random moments until all cells are answered, and return how often."""
    kills, known = 0, {}
    while len(known) < CELLS:
        process = sweep(folder)
        while process.poll() is None and len(list(folder.glob("*/*.json"))) <= len(known):
            time.sleep(0.01)  # it is at work, not only starting
        time.sleep(numbers.uniform(0, AT_ONCE_S))
        if process.poll() is None:
            if numbers.random() < 0.5:
                process.kill()  # its children notice
            else:
                os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        now = answers(folder)
        assert known.items() <= now.items()
        known = now
    return kills
