"""Claims on a card: never more than there is, and nothing of a process that is gone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.memory.claims import Claims, belongs_to

ROOT = Path(__file__).parents[3]
GIB = 2**30
HOLDER = """
import os, sys, time
from bench.memory.claims import Claims
claims = Claims(__import__("pathlib").Path(sys.argv[1]), 24 * 2**30)
for _ in range(int(sys.argv[3])):
    with claims.hold(int(sys.argv[2]), wait_s=120):
        held = claims.holders()
        print(sum(held.values()), len(held), flush=True)
        time.sleep(float(sys.argv[4]))
"""


def holder(path, size, times=1, seconds=0.0):
    command = [sys.executable, "-c", HOLDER, str(path), str(size), str(times), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "card.json", 24 * GIB)


def test_caps_that_fit_share_the_card_and_others_are_told_who_holds_it(claims):
    with holder(claims.path, 10 * GIB, seconds=600) as other:
        other.stdout.readline()
        with claims.hold(14 * GIB):
            assert claims.holders() == {other.pid: 10 * GIB, os.getpid(): 14 * GIB}
        assert claims.holders() == {other.pid: 10 * GIB}
        told = f"process {other.pid} holds 10 GiB of 24.0 GiB, and 16 GiB are asked"
        with pytest.raises(TimeoutError, match=told), claims.hold(16 * GIB):
            pass
        other.kill()
        other.wait()
        with claims.hold(24 * GIB):  # a killed command holds nothing
            assert claims.holders() == {os.getpid(): 24 * GIB}


def test_who_waits_gets_it_when_it_is_given_back(claims):
    told = []
    with holder(claims.path, 20 * GIB, seconds=1.0) as other:
        other.stdout.readline()
        with claims.hold(8 * GIB, wait_s=120, told=told.append):
            assert claims.holders() == {os.getpid(): 8 * GIB}
    assert told


def test_a_cap_above_the_card_is_the_whole_card(claims):
    with claims.hold(80 * GIB):
        assert claims.holders() == {os.getpid(): 24 * GIB}


def test_many_processes_never_hold_more_than_there_is(claims, monkeypatch):
    others = [holder(claims.path, 10 * GIB, times=5) for _ in range(4)]
    rows = [line.split() for other in others for line in other.communicate(timeout=300)[0].splitlines()]
    assert len(rows) == 20
    assert max(int(total) for total, _ in rows) <= 20 * GIB


def test_a_process_belongs_to_who_started_it():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert belongs_to(child.pid, {os.getpid(): 1})
        assert not belongs_to(os.getppid(), {os.getpid(): 1, child.pid: 1})
    finally:
        child.kill()
        child.wait()
    deadline = time.monotonic() + 60
    while belongs_to(child.pid, {os.getpid(): 1}):
        assert time.monotonic() < deadline
