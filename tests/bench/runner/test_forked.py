"""Forked processes: what comes back, what happens to those that fail, hang or lose their parent."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.gpu.proofs import PRELOADED
from bench.runner.forked import ForkedError, ForkServer

ROOT = Path(__file__).parents[3]
PLENTY_S = 300
UNTOUCHED = """
import importlib, sys
import torch
def touched(*_, **__):
    raise SystemExit("CUDA was touched")
for name in ("_lazy_init", "is_available", "device_count", "init"):
    setattr(torch.cuda, name, touched)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not torch.cuda.is_initialized()
"""
PARENT = """
import sys, time
from tests.bench.runner.test_forked import write_number
from bench.runner.forked import ForkServer
ForkServer(["time"]).start(write_number, sys.argv[1])
time.sleep(600)
"""


@pytest.fixture
def server():
    return ForkServer(["time"])  # torch takes long on a busy machine


def answer(number):
    return {"number": number, "process": os.getpid()}


def fail():
    raise ArithmeticError("first line\nsecond line")


def die():
    os._exit(3)


def write_number(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def nested():
    return ForkServer(["time"]).call(answer, 3, timeout_s=PLENTY_S)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=PLENTY_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_result_comes_back_from_another_process(server):
    found = server.call(answer, 7, timeout_s=PLENTY_S)
    assert found["number"] == 7
    assert found["process"] != os.getpid()


def test_a_failure_is_told_in_a_line(server, capfd):
    with pytest.raises(ForkedError, match=r"^ArithmeticError: first line second line$"):
        server.call(fail, timeout_s=PLENTY_S)
    with pytest.raises(ForkedError, match="die died with exit code 3"):
        server.call(die, timeout_s=PLENTY_S)


def test_a_process_that_takes_too_long_is_killed(server, tmp_path):
    path = tmp_path / "pid"
    process = server.start(write_number, str(path))
    wait_until(lambda: path.exists() and path.read_text())
    process.kill()
    with pytest.raises(TimeoutError, match="write_number took more than 3 s"):
        server.call(write_number, str(tmp_path / "other"), timeout_s=3)
    wait_until(lambda: not (tmp_path / "other").exists() or not alive((tmp_path / "other").read_text()))


def test_calls_can_be_ended(server, tmp_path):
    path = tmp_path / "pid"
    timer = threading.Thread(target=lambda: (wait_until(path.exists), server.end_calls()))
    timer.start()
    with pytest.raises(ForkedError, match="write_number died with exit code"):
        server.call(write_number, str(path), timeout_s=PLENTY_S)
    timer.join()


def test_a_forked_process_may_fork_from_a_server_of_its_own(server):
    assert server.call(nested, timeout_s=PLENTY_S)["number"] == 3


def test_a_process_ends_with_its_parent(tmp_path):
    path = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(path)], cwd=ROOT)
    try:
        wait_until(lambda: path.exists() and path.read_text())
        assert alive(path.read_text())
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not alive(path.read_text()))


@pytest.mark.slow
def test_what_is_imported_ahead_touches_no_gpu():
    from bench.gpu.__main__ import PRELOADED as OF_THE_PLAN

    modules = (*PRELOADED, *OF_THE_PLAN)
    subprocess.run([sys.executable, "-c", UNTOUCHED, *modules], cwd=ROOT, check=True)
